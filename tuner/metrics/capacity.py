"""Owns the capacity that load points show: the estimate, its 90 % interval, what limits it, and why it is so wide.

Every criterion (each SLO, failed requests, the queue's growth) has a rate at which it crosses its bound, known as a
distribution (`tuner.metrics.crossing`). The capacity is where the first of them crosses: the criterion with the lowest
median gives the estimate (its median) and the interval (its 5 % and 95 % quantiles).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.domain.slo import Slo
from tuner.domain.study import LoadPlan
from tuner.metrics.crossing import Crossing, crossing, queue_crossing
from tuner.metrics.evidence import FAILURES, Measured

QUEUE = "queue"
CONFIDENCE = 0.9
_BEYOND = 2.0
"""Crossings are looked for this many times outside of the search range."""
_NEAR = 1.2
"""Points within this factor of the crossing are near it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The capacity within a bracket."""

    rate: float
    lower: float
    upper: float
    limited_by: str
    first: Crossing
    """The criterion that limits it."""

    @property
    def half_width(self) -> float:
        """Half of the interval, relative to the estimate."""
        return (self.upper - self.lower) / 2 / self.rate


def estimate(plan: LoadPlan, slos: Sequence[Slo], target_rps: float, points: Sequence[Measured]) -> Estimate | None:
    """Return the estimate that valid load points support, None where there is none at all."""
    if not points:
        return None
    low, high = target_rps * plan.lowest / _BEYOND, target_rps * plan.highest * _BEYOND
    found = {name: crossing(name, points, low, high) for name in [*(slo.name for slo in slos), FAILURES]}
    found[QUEUE] = queue_crossing(points, low, high)
    name, first = min(found.items(), key=lambda item: item[1].rate(0.5))
    return _estimate(name, first)


def _estimate(name: str, found: Crossing) -> Estimate:
    tail = (1 - CONFIDENCE) / 2
    return Estimate(found.rate(0.5), found.rate(tail), found.rate(1 - tail), name, found)


def near(points: Sequence[Measured], rate: float) -> list[Measured]:
    """Return the points that tell how things are near a rate: close to it, and not given up."""
    return [point for point in points if not point.given_up and 1 / _NEAR <= point.rate / rate <= _NEAR]
