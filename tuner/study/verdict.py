"""From a trial's load points to what is stored and told: capacity, objective values, constraints, or a failure."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.domain.failure import Failure, FailureKind
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.study import StudySpec
from tuner.metrics.capacity import target_point
from tuner.metrics.objectives import constraint_values, objective_values


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trial's load points say together."""

    capacity: Capacity
    values: dict[str, float]
    """Objective values by name."""
    constraints: dict[str, float]
    """Zero or less is met."""


def judge(spec: StudySpec, points: Sequence[LoadPoint], found: Capacity) -> Verdict | Failure:
    """Return the verdict on a trial by the load points of one launch and its capacity, or why they support none."""
    target = target_point(points, spec.target_rps)
    if target is None:
        return Failure(kind=FailureKind.LOAD_FAILED, evidence="the load point at the target rate was not measured")
    values = objective_values(spec.objectives, target, found)
    if values is None:
        return Failure(
            kind=FailureKind.LOAD_FAILED,
            evidence=f"too few requests succeeded at the target rate: {'; '.join(target.summary.slo_violations)}",
            advice="raise load.min_requests or load.duration, or ask for a lower percentile",
        )
    return Verdict(found, values, constraint_values(spec.slos, target))
