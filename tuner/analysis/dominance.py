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

    In lexicographic order only an earlier point can dominate a later one: each point of the front in turn takes away
    what it dominates (as Optuna does), so that time and memory grow with points times the front, not with their square.

    Args:
        points: Losses without NaN.
    """
    on = np.zeros(len(points), dtype=np.bool_)
    left = np.lexsort(points.T[::-1])
    while left.size:
        first, others = points[left[0]], points[left]
        equal = (others == first).all(axis=1)
        on[left[equal]] = True
        left = left[(others < first).any(axis=1)]
    return on
