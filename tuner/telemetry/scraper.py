"""Reads /metrics before, during and after a load point.

Owns the requests and their rhythm. Never raises into the load: a scrape that fails is skipped and counted. Runs in the
tuner's own process, so that neither the requests nor the parsing touch the load generator's event loop.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable

import httpx

from tuner.domain.measurement import Scrape
from tuner.telemetry.metrics import parse_scrape

_log = logging.getLogger(__name__)

_TIMEOUT = 5.0
"""Seconds for one scrape. A server that needs longer is hung or saturated, and the next scrape tells the same."""


class Scraper:
    """Collects the scrapes of one load point; `scraping` runs it."""

    def __init__(self, client: httpx.AsyncClient, *, interval: float, clock: Callable[[], float]) -> None:
        """Scrape through the client, whose base URL is the server's, every `interval` seconds of `clock`."""
        self._client = client
        self._interval = interval
        self._clock = clock
        self._scrapes: list[Scrape] = []
        self.failures = 0
        """Scrapes that gave no reading."""

    def scrapes(self, origin: float) -> tuple[Scrape, ...]:
        """Return the readings so far, `at` counted in seconds from `origin` on the clock."""
        return tuple(scrape.model_copy(update={"at": scrape.at - origin}) for scrape in self._scrapes)

    async def scrape(self) -> None:
        """Read /metrics once."""
        sent_at = self._clock()
        try:
            response = await self._client.get("/metrics")
            # The server wrote the page somewhere between: the middle is at most half a round trip off.
            at = (sent_at + self._clock()) / 2
            self._scrapes.append(parse_scrape(response.raise_for_status().text, at))
        except (httpx.HTTPError, ValueError) as error:
            self.failures += 1
            _log.debug("scrape skipped: %r", error)

    async def run(self) -> None:
        """Scrape at every full interval from now, until cancelled; intervals missed by a slow scrape are left out."""
        start = self._clock()
        while True:
            await asyncio.sleep(until_next(self._clock() - start, self._interval))
            await self.scrape()


def until_next(elapsed: float, interval: float) -> float:
    """Return the seconds left until the next full interval."""
    return interval - elapsed % interval


@contextlib.asynccontextmanager
async def scraping(
    url: str, *, api_key: str | None = None, interval: float = 1.0, clock: Callable[[], float] = time.monotonic
) -> AsyncGenerator[Scraper]:
    """Scrape the server at `url` once on entry, every `interval` seconds, and once more on exit.

    Example:
        async with scraping("http://127.0.0.1:8123") as scraper:
            result = await run_load(job)
        scrapes = scraper.scrapes(result.started_at)
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    # trust_env: a proxy of the user's environment has no business between two processes of one machine.
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False) as client:
        scraper = Scraper(client, interval=interval, clock=clock)
        await scraper.scrape()
        async with _in_background(scraper):
            yield scraper
        await scraper.scrape()


@contextlib.asynccontextmanager
async def _in_background(scraper: Scraper) -> AsyncGenerator[None]:
    task = asyncio.create_task(scraper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
