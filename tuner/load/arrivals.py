"""Owns the schedule of a load point: when each request is meant to start. Sends nothing and reads no clock."""

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import Arrivals, PoissonArrivals
from tuner.load.seeds import Purpose, generator


def schedule(arrivals: Arrivals, requests: int, seed: int) -> NDArray[np.float64] | None:
    """Return the intended start of every request, in seconds from the load point's start, ascending.

    Poisson arrivals are sums of exponential gaps as they are drawn: not rescaled to a fixed length, so the realised
    rate varies from seed to seed as a Poisson process does.

    Returns:
        An array of shape (requests,), or None under closed loop, where the server's answers set the pace.
    """
    if not isinstance(arrivals, PoissonArrivals):
        return None
    gaps = generator(seed, Purpose.ARRIVALS).exponential(1.0 / arrivals.rate, requests)
    return np.cumsum(gaps)
