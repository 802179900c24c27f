"""Readings at full intervals, beside a load that they must never disturb.

Owns the rhythm: an interval that a slow reading missed is left out, never made up for. Knows nothing of what is read.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

_log = logging.getLogger(__name__)


def until_next(elapsed: float, interval: float) -> float:
    """Return the seconds left until the next full interval."""
    return interval - elapsed % interval


@contextlib.asynccontextmanager
async def at_intervals(
    read: Callable[[], Awaitable[None]], *, interval: float, clock: Callable[[], float]
) -> AsyncGenerator[None]:
    """Await `read()` at every full interval from now, in the background, until the block ends.

    A reading that raises ends the readings, not the block: the error is logged.
    """
    task = asyncio.create_task(_repeat(read, interval, clock))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("readings stopped early", exc_info=error)


async def _repeat(read: Callable[[], Awaitable[None]], interval: float, clock: Callable[[], float]) -> None:
    start, task = clock(), asyncio.current_task()
    while task is not None and not task.cancelling():  # a reading may have swallowed the cancellation
        await asyncio.sleep(until_next(clock() - start, interval))
        await read()
