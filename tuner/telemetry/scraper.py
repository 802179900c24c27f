"""Reads /metrics before, during and after a load point.

Owns the requests, and when a server counts as at rest. Never raises into the load: a scrape that fails is skipped and
counted. Runs in the tuner's own process, so that neither the requests nor the parsing touch the load generator's event
loop.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncGenerator, Callable

import httpx

from tuner.domain.measurement import Scrape
from tuner.telemetry.metrics import parse_scrape
from tuner.telemetry.rhythm import at_intervals

_log = logging.getLogger(__name__)

_TIMEOUT = 5.0
"""Seconds for one scrape. A server that needs longer is hung or saturated, and the next scrape tells the same."""
_PATIENCE = 3.0
"""Seconds that a server may take to come to rest. One that other clients use never does."""
_PAUSE = 0.05
"""Seconds between scrapes that wait for rest. A finished request is counted within a step of sending its last token."""


class Scraper:
    """Collects the scrapes of one load point; `scraping` runs it."""

    def __init__(self, client: httpx.AsyncClient, *, clock: Callable[[], float]) -> None:
        """Scrape through the client, whose base URL is the server's."""
        self._client = client
        self._clock = clock
        self._scrapes: list[Scrape] = []
        self.failures = 0
        """Scrapes that gave no reading."""
        self.drained = True
        """Whether the server was at rest at both ends, so that its counters tell all of the load and nothing else."""

    def scrapes(self, origin: float) -> tuple[Scrape, ...]:
        """Return the readings so far, `at` counted in seconds from `origin` on the clock."""
        return tuple(_moved(scrape, scrape.at - origin) for scrape in self._scrapes)

    async def scrape(self) -> None:
        """Read /metrics once."""
        reading = await self._read()
        if reading is not None:
            self._scrapes.append(reading)

    async def drain(self, patience: float) -> None:
        """Read /metrics until the server is at rest, for `patience` seconds at most, and keep the last reading.

        A reading that fails ends it: the server is gone, or hung.
        """
        ends = self._clock() + patience
        before, last = None, await self._read()
        while last is not None and not at_rest(before, last) and self._clock() < ends:
            await asyncio.sleep(_PAUSE)
            before, last = last, await self._read()
        self.drained &= at_rest(before, last)
        if (kept := last or before) is not None:
            self._scrapes.append(kept)

    async def _read(self) -> Scrape | None:
        sent_at = self._clock()
        try:
            response = await self._client.get("/metrics")
            # The server wrote the page somewhere between: the middle is at most half a round trip off.
            at = (sent_at + self._clock()) / 2
            return parse_scrape(response.raise_for_status().text, at)
        except (httpx.HTTPError, ValueError) as error:
            self.failures += 1
            _log.debug("scrape skipped: %r", error)
            return None


def at_rest(before: Scrape | None, last: Scrape | None) -> bool:
    """Return whether nothing runs, nothing waits, and two readings in a row say the same.

    The gauges alone don't do: the counters of a request follow its last token by some milliseconds.
    """
    if before is None or last is None or last.running or last.waiting:
        return False
    return _moved(last, before.at) == before


def _moved(scrape: Scrape, at: float) -> Scrape:
    return scrape.model_copy(update={"at": at})


@contextlib.asynccontextmanager
async def scraping(
    url: str,
    *,
    api_key: str | None = None,
    interval: float = 1.0,
    patience: float = _PATIENCE,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[Scraper]:
    """Scrape the server at `url` before the block, every `interval` seconds in it, and after it.

    On entry and on exit the server is waited for until it is at rest, `patience` seconds at most.

    Example:
        async with scraping("http://127.0.0.1:8123") as scraper:
            result = await run_load(job)
        scrapes = scraper.scrapes(result.started_at)
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    # trust_env: a proxy of the user's environment has no business between two processes of one machine.
    # Certificates are checked as the load generator checks them, SSL_CERT_FILE included.
    verify = ssl.create_default_context() if url.startswith("https:") else True
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False, verify=verify
    ) as client:
        scraper = Scraper(client, clock=clock)
        await scraper.drain(patience)
        async with at_intervals(scraper.scrape, interval=interval, clock=clock):
            yield scraper
        await scraper.drain(patience)
