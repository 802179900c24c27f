"""Owns waking up at a given moment. Knows nothing of requests."""

import asyncio
from collections.abc import Callable

Clock = Callable[[], float]


class Alarm:
    """Rings once at a moment of the clock; setting it again moves it."""

    def __init__(self, ring: Callable[[], None], clock: Clock) -> None:
        """Call `ring` on the running event loop."""
        self._ring = ring
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        """Ring at this moment, or at once where it has passed."""
        self.cancel()
        self._timer = self._loop.call_later(max(at - self._clock(), 0.0), self._ring)

    def cancel(self) -> None:
        """Don't ring."""
        if self._timer is not None:
            self._timer.cancel()
