"""Owns the schedule of a load point: when each request is meant to start. Sends nothing and reads no clock.

A schedule is computed whole before the first request is sent, so that no answer can bend it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import (
    Arrivals,
    ClosedLoop,
    ConstantArrivals,
    GammaArrivals,
    PoissonArrivals,
    RampArrivals,
    TraceArrivals,
)
from tuner.load.seeds import Purpose, generator

Times = NDArray[np.float64]


def schedule(arrivals: Arrivals, requests: int, seed: int, recorded: Sequence[float] = ()) -> Times | None:
    """Return the intended start of every request, in seconds from the load point's start, ascending.

    Random gaps stand as they are drawn: not rescaled to a fixed length, so the realised rate varies from seed to seed
    as the process's does.

    Args:
        arrivals: how they arrive.
        requests: how many there are.
        seed: the load point's.
        recorded: moments of a trace, in seconds, at least as many as requests; only trace arrivals need them.

    Returns:
        An array of shape (requests,), or None under closed loop, where the server's answers set the pace.

    Raises:
        ValueError: trace arrivals without recorded moments.
    """
    draw = generator(seed, Purpose.ARRIVALS)
    match arrivals:
        case ClosedLoop():
            return None
        case PoissonArrivals(rate=rate):
            return np.cumsum(draw.exponential(1.0 / rate, requests))
        case ConstantArrivals(rate=rate):
            return np.arange(1, requests + 1) / rate
        case GammaArrivals(rate=rate, burstiness=shape):
            return np.cumsum(draw.gamma(shape, 1.0 / (rate * shape), requests))
        case RampArrivals(from_rate=start, to_rate=end):
            return _ramp(start, end, np.cumsum(draw.exponential(1.0, requests)))
        case TraceArrivals(speed=speed):
            return _replayed(recorded, requests, speed)


def _ramp(start: float, end: float, unit: Times) -> Times:
    """Return arrivals of a Poisson process whose rate goes linearly from one rate to another.

    A Poisson process of rate 1 is stretched by the inverse of the expected count: up to t seconds, that is
    start t + slope t² / 2; and the ramp ends where it is the number of requests, after n / mean rate seconds.
    """
    length = unit.size / ((start + end) / 2)
    slope = (end - start) / length
    inside = np.minimum(unit, unit.size)  # beyond the ramp's end its last rate goes on
    times = 2 * inside / (start + np.sqrt(start**2 + 2 * slope * inside))  # exact for any slope, none too
    return times + (unit - inside) / end


def _replayed(recorded: Sequence[float], requests: int, speed: float) -> Times:
    if len(recorded) < requests:
        raise ValueError(f"{requests} requests, and moments for {len(recorded)}")
    return np.asarray(recorded[:requests], dtype=np.float64) / speed
