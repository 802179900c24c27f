"""Owns the choice of a refining load point: the rate and the number of requests that narrow the interval at least cost.

The crossing is where a line, log odds against log rate, reaches a given height. What each point tells of the line's
height and slope adds up (Fisher information of a regression line); the variance of the crossing follows from the sum,
with one more point at any rate and of any length. The present interval, which knows more than this approximation,
sets the scale.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.metrics.capacity import Estimate, near
from tuner.metrics.evidence import Measured

Array = NDArray[np.float64]

_ASIDE = np.array([-0.08, -0.05, -0.03, -0.015, 0.0, 0.015, 0.03, 0.05, 0.08])
"""Rates that come into question: so far from the crossing, in the logarithm."""
_LENGTHS = 40
_RESERVE = 0.95
"""The interval aimed at, as a share of the tolerance, so that a last small point is not needed."""
_DOUBT = 0.7
"""Standard deviation of the slope's logarithm before anything is known of it."""


def cheapest(
    found: Estimate, points: Sequence[Measured], tolerance: float, fewest: int, most: int
) -> tuple[float, int]:
    """Return the rate and the requests of the next point.

    The fewest requests that bring the interval to the tolerance; where not even the most do, the most, where they
    narrow it best.
    """
    lengths = np.unique(np.geomspace(fewest, max(most, fewest), _LENGTHS).round())
    now = _information(found, points)
    aside = _ASIDE[:, None] * np.ones_like(lengths)
    worth = found.first.information(np.log(found.rate) + aside) * lengths
    widths = found.half_width * np.sqrt(_variance(*_plus(now, worth, aside)) / _variance(*now))
    reached = widths <= _RESERVE * tolerance
    if reached.any():
        column = int(np.argmax(reached.any(axis=0)))
        row = int(np.argmin(widths[:, column]))
        return found.rate * float(np.exp(_ASIDE[row])), int(lengths[column])
    return found.rate * float(np.exp(_ASIDE[int(np.argmin(widths[:, -1]))])), int(lengths[-1])


_Sums = tuple[Array, Array, Array]


def _information(found: Estimate, points: Sequence[Measured]) -> _Sums:
    """Return the information so far, of 1, x and x squared, x being the logarithm of the rate from the crossing."""
    around = near(points, found.rate)
    x = np.array([np.log(point.realised / found.rate) for point in around])
    sizes = np.array([float(point.requests) for point in around])
    worth = found.first.information(np.log(found.rate) + x) * sizes
    doubt = 1 / (_DOUBT * found.first.steepness) ** 2
    return np.array(worth.sum()), np.array(worth @ x), np.array(worth @ x**2 + doubt)


def _plus(now: _Sums, worth: Array, x: Array) -> _Sums:
    return now[0] + worth, now[1] + worth * x, now[2] + worth * x**2


def _variance(one: Array, x: Array, xx: Array) -> Array:
    """Return the variance of a regression line's height at x = 0."""
    return xx / np.maximum(one * xx - x**2, 1e-12)
