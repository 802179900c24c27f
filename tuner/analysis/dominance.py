"""Pareto dominance. Kernels minimise; directions are normalised once, at the edge (`losses`).

Dominance is strict: a point is dominated when another is at least as good everywhere and better somewhere, so that
equal points stay on the front together.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.analysis.figures import Direction

Losses = NDArray[np.float64]
"""Shape (points, metrics); smaller is better."""


def losses(rows: Sequence[Sequence[float]], directions: Sequence[Direction]) -> Losses:
    """Return the rows with maximised columns negated."""
    signs = np.array([1.0 if direction is Direction.MINIMIZE else -1.0 for direction in directions])
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), len(directions)) * signs


def on_front(points: Losses) -> NDArray[np.bool_]:
    """Return, for each point, whether no other dominates it.

    Args:
        points: Losses without NaN.
    """
    at_least_as_good = (points[:, None, :] <= points[None, :, :]).all(axis=2)
    better_somewhere = (points[:, None, :] < points[None, :, :]).any(axis=2)
    dominates = at_least_as_good & better_somewhere
    return np.logical_not(np.logical_or.reduce(dominates, axis=0))
