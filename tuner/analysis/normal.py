"""The normal distribution: quantiles, masses that don't cancel far out, and the range of several. Pure.

Student's range with infinite degrees of freedom (Tukey 1953): how far apart the largest and the smallest of n equal,
independent, normal figures lie by chance alone.
"""

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Z90 = NormalDist().inv_cdf(0.95)
"""Half of a 90 % interval, in standard deviations."""

_REACH = 9.0
_STEP = 0.01
_BISECTIONS = 40


def quantile(probability: float) -> float:
    """Return the standard normal quantile."""
    return NormalDist().inv_cdf(probability)


def mass(low: float, high: float) -> float:
    """Return how probable a standard normal figure between the two is, precise in the tails too."""
    if low > 0:
        return _above(low) - _above(high)
    return _above(-high) - _above(-low)


def _above(value: float) -> float:
    return 0.5 * math.erfc(value / math.sqrt(2))


def any_of(count: int, confidence: float) -> float:
    """Return within how many standard deviations all of several figures lie with a confidence (Šidák 1967).

    Exact for independent figures, on the safe side for others.
    """
    return quantile((1 + confidence ** (1 / max(count, 1))) / 2)


@lru_cache(maxsize=256)
def apart(count: int, confidence: float) -> float:
    """Return how many standard deviations of their difference two of several figures differ by, by chance alone.

    Of `count` equal ones no two differ by more, with this confidence: the quantile of Student's range over the square
    root of two. For two figures it is the ordinary two-sided quantile; for unequal variances it is on the safe side
    (Tukey and Kramer; Hayter 1984).
    """
    if count < 2:  # noqa: PLR2004  # one figure differs from none
        return 0.0
    low, high = 0.0, 2 * _REACH
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _range_within(middle, count) < confidence else (low, middle)
    return (low + high) / 2 / math.sqrt(2)


def _range_within(width: float, count: int) -> float:
    """Return how probable it is that `count` standard normal figures span at most a width: integrated over the top."""
    top, below = _table()
    density = np.exp(-(top**2) / 2) / math.sqrt(2 * math.pi)
    others = below - np.interp(top - width, top, below, left=0.0)
    return float(count * np.sum(density * others ** (count - 1)) * _STEP)


@lru_cache(maxsize=1)
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values, and how probable it is to lie below each."""
    values = np.arange(-_REACH, _REACH + _STEP, _STEP)
    return values, np.array([_above(-value) for value in values.tolist()])
