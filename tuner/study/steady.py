"""A clock that says the time of day and never jumps: what a session's labels and its end are told by."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def steady(
    *,
    wall: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    clock: Callable[[], float] = _since_boot,
) -> Callable[[], datetime]:
    """Return a clock that starts at the wall's time now, local and aware, and goes on by seconds since boot.

    A wall clock that is set meanwhile moves neither a budget of hours nor how long a trial is said to have taken.
    """
    origin, began = wall(), clock()
    return lambda: origin + timedelta(seconds=clock() - began)
