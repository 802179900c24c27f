"""Owns the client's view of itself: CPU, event-loop lag, lateness; and keeps the garbage collector out of the way."""

import asyncio
import gc
import math
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import numpy as np

from tuner.domain.load import ClientHealth, RequestRecord
from tuner.load.protocol import Clock

_TICK = 0.02


@contextmanager
def undisturbed() -> Generator[None]:
    """Keep the garbage collector out of a load point: collect before it, freeze what lives, pause until its end."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class Monitor:
    """Watches the event loop through a timer, and the process's CPU time, from its creation on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._cpu_at_start = time.process_time()
        self._lag_max = 0.0
        self._expected = clock() + _TICK
        self._timer = self._loop.call_later(_TICK, self._tick)

    def stop(self, records: Sequence[RequestRecord], duration: float, *, scheduled: bool) -> ClientHealth:
        """Return how the client fared over `duration` seconds; lateness only counts where there was a schedule."""
        self._timer.cancel()
        cpu = time.process_time() - self._cpu_at_start
        return ClientHealth(
            cpu_s=cpu,
            cpu_share=cpu / duration if duration > 0 else 0.0,
            lateness_p99=lateness_p99(records) if scheduled else 0.0,
            loop_lag_max=self._lag_max,
        )

    def _tick(self) -> None:
        now = self._clock()
        self._lag_max = max(self._lag_max, now - self._expected)
        self._expected = now + _TICK
        self._timer = self._loop.call_later(_TICK, self._tick)


def lateness_p99(records: Sequence[RequestRecord]) -> float:
    """Return the 99th percentile of sending minus schedule, in seconds, over the requests that were sent."""
    late = [record.sent_at - record.scheduled_at for record in records if not math.isnan(record.sent_at)]
    return float(np.percentile(late, 99)) if late else 0.0
