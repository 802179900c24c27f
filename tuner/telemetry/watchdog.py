"""Whether an engine under load still brings tokens: where it stands still, /health and /metrics go on answering.

Owns when an engine counts as hung, by vLLM's token counters and, where they rest, by a completion of its own: a rate
may be so slow that nothing is due for a minute. Stops nothing, and knows nothing of the load.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from tuner.domain.failure import Failure, FailureKind

_LOOKS: Final = 12
"""Looks at the counters within the patience."""
_COUNTERS: Final = re.compile(
    r"^vllm:(?:prompt_tokens|generation_tokens|iteration_tokens_total_count)(?:_total)?\{[^\n]*\} (\S+)$", re.MULTILINE
)
"""The last one counts the engine's steps: it moves during a prefill of many steps too."""


class Watchdog:
    """Watches one server; its client's base URL and headers are the server's."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        model: str,
        patience: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        """Count the engine as hung `patience` seconds after its last token."""
        self._client = client
        self._model = model
        self._patience = patience
        self._pause = patience / _LOOKS
        self._clock = clock
        self._sleep = sleep
        self.hung = asyncio.create_task(self._watch())
        """Done once the engine is hung."""

    async def answered(self) -> None:
        """Return when the engine has completed a token: not at all where it is hung."""
        while not await self._completes(0.0):
            await self._sleep(self._pause)

    async def _watch(self) -> Failure:
        moved, last = self._clock(), await self._tokens()
        while (quiet := self._clock() - moved) < self._patience - self._pause:
            await self._sleep(self._pause)
            now = await self._tokens()
            # A server that can't be read shows no progress; its process's end is watched elsewhere.
            if now not in (None, last) or (quiet >= self._patience / 2 and await self._completes(quiet)):
                moved, last = self._clock(), now
        return Failure(
            kind=FailureKind.ENGINE_HUNG,
            evidence=f"no token for {quiet:.0f} s, and none for a completion of one token either",
            advice="Read the launch's log; raise engine.hang_timeout where one step of the engine may take that long.",
        )

    async def _tokens(self) -> tuple[str, ...] | None:
        try:
            response = await self._client.get("/metrics", timeout=self._pause)
        except httpx.HTTPError:
            return None
        return tuple(_COUNTERS.findall(response.text)) or None

    async def _completes(self, quiet: float) -> bool:
        body = {"model": self._model, "prompt": [5], "max_tokens": 1, "ignore_eos": True}
        left = self._patience - self._pause - quiet
        try:
            async with asyncio.timeout(max(left, self._pause)):
                response = await self._client.post("/v1/completions", json=body, timeout=None)
        except (httpx.HTTPError, TimeoutError):
            return False
        return response.is_success


@asynccontextmanager
async def watching(url: str, model: str, *, api_key: str, patience: float) -> AsyncGenerator[Watchdog]:
    """Watch a server while the context lasts.

    Args:
        url: the server's, without a path.
        model: the name it serves.
        api_key: sent as a bearer token.
        patience: seconds without a token.
    """
    headers = {"Authorization": f"Bearer {api_key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        watchdog = Watchdog(client, model, patience)
        try:
            yield watchdog
        finally:
            watchdog.hung.cancel()
            await asyncio.gather(watchdog.hung, return_exceptions=True)
