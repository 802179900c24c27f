"""Owns the client's view of itself: CPU, event-loop lag, lateness; and keeps the garbage collector out of the way.

The lag is the client's own error. An alarm goes off at moments that have nothing to do with the load; how late it is
noticed is what an event that arrives at any moment has to wait before its time is read: the kernel's wake-up, and the
handling of all that the event loop was given before it.
"""

import asyncio
import gc
import math
import time
from array import array
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from tuner.domain.load import ClientHealth, RequestRecord
from tuner.load.pacing import Alarm, Clock

_TICK = (0.005, 0.035)
"""Seconds between two looks, drawn at random, so that no rhythm of the load is followed or missed."""
_DRAWN = 4096


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
    """Watches the event loop through an alarm, and the process's CPU time, from its creation on."""

    def __init__(self, clock: Clock, draw: np.random.Generator, heed: Callable[[float], None]) -> None:
        """Tell `heed` of each lag as it is measured, in seconds."""
        self._clock = clock
        self._heed = heed
        self._waits = cycle(draw.uniform(*_TICK, _DRAWN).tolist())  # ahead: one by one they cost more than the look
        self._loop = asyncio.get_running_loop()
        self._cpu_at_start = time.process_time()
        self._lags = array("d")
        self._alarm = Alarm(self._look, clock)
        self._set()

    def stop(self, records: Sequence[RequestRecord], duration: float, *, cpu_s: float | None = None) -> ClientHealth:
        """Return how the client fared over `duration` seconds."""
        cpu = self.cpu_s if cpu_s is None else cpu_s
        self._alarm.close()
        late = lateness(records)
        lags = np.asarray(self._lags)
        return ClientHealth(
            cpu_s=cpu,
            cpu_share=cpu / duration if duration > 0 else 0.0,
            lateness_mean=_mean(late),
            lateness_p99=_p99(late),
            lateness_max=float(late.max(initial=0.0)),
            loop_lag_mean=_mean(lags),
            loop_lag_p99=_p99(lags),
            loop_lag_max=float(lags.max(initial=0.0)),
            reads=sum(len(set(record.event_times)) for record in records),
            events=sum(len(record.event_times) for record in records),
        )

    @property
    def cpu_s(self) -> float:
        """CPU seconds since the creation."""
        return time.process_time() - self._cpu_at_start

    def _set(self) -> None:
        self._expected = self._clock() + next(self._waits)
        self._alarm.set(self._expected)

    def _look(self) -> None:
        lag = self._clock() - self._expected
        self._lags.append(lag)
        self._heed(lag)
        self._set()


def lateness(records: Sequence[RequestRecord]) -> NDArray[np.float64]:
    """Return sending minus schedule, in seconds, of the requests that were sent; zeros under closed loop."""
    late = (record.sent_at - record.scheduled_at for record in records if not math.isnan(record.sent_at))
    return np.fromiter(late, dtype=np.float64)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0


def _p99(values: NDArray[np.float64]) -> float:
    return float(np.percentile(values, 99)) if values.size else 0.0
