"""The hypervolume of a front: how much of the space down to a reference point its trials dominate. Pure.

Computed by moocore, the reference implementation (Fonseca, Paquete and López-Ibáñez 2006). Owns the reference point,
which must not depend on which studies are compared where that can be helped: a figure that is maximised counts from
zero, a latency from its SLO's limit, and only what has no limit from a tenth above the worst value on any front.
"""

from collections.abc import Mapping, Sequence

import moocore  # pyright: ignore[reportMissingTypeStubs]  # it has annotations, but no marker of them
import numpy as np
from numpy.typing import NDArray

from tuner.analysis.dominance import Losses
from tuner.analysis.figures import Direction

_MARGIN = 1.1
"""Of the worst value, so that the worst trial of a front still counts for something (Ishibuchi et al. 2018)."""


def hypervolume(points: Losses, reference: NDArray[np.float64]) -> float:
    """Return the volume that the points dominate and that dominates the reference, in the product of the units.

    Args:
        points: losses, shape (points, metrics); those that do not dominate the reference add nothing.
        reference: losses, shape (metrics,).
    """
    return float(moocore.hypervolume(points, ref=reference)) if len(points) else 0.0


def reference_point(
    names: Sequence[str], directions: Sequence[Direction], limits: Mapping[str, float], points: Losses
) -> dict[str, float]:
    """Return the reference of each figure, in its own unit and direction.

    Args:
        names: the figures.
        directions: which way each is better.
        limits: the SLOs' limits by name, seconds.
        points: losses of every front that is compared, shape (points, metrics).
    """
    return {
        name: 0.0 if better is Direction.MAXIMIZE else limits.get(name, float(column.max(initial=0.0)) * _MARGIN)
        for name, better, column in zip(names, directions, points.T, strict=True)
    }
