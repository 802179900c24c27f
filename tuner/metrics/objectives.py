"""Owns what a sampler is told about a measured trial: objective values and constraints. Knows no sampler."""

from collections.abc import Sequence

from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import Slo, split_name
from tuner.domain.study import CAPACITY
from tuner.metrics.verdict import MAX_FAILURE_RATE

_UNSUPPORTED = 1.0
"""The violation of an SLO whose percentile has no figure: as bad as a latency of twice its limit."""


def objective_values(objectives: Sequence[str], target: LoadPoint, capacity: Capacity) -> dict[str, float] | None:
    """Return the objectives' values, latencies at the target rate in seconds, or None when one has no figure.

    Raises:
        ValueError: no such objective.
    """
    values = {name: _value(name, target, capacity) for name in objectives}
    known = {name: value for name, value in values.items() if value is not None}
    return known if len(known) == len(values) else None


def constraint_values(slos: Sequence[Slo], target: LoadPoint) -> dict[str, float]:
    """Return how far the load point at the target rate is from feasible; at most 0 is feasible.

    An SLO counts by its relative excess, (value - limit) / limit; `failure_rate` by failed requests above 1 % of all,
    and `queue` is 1 where the queue kept growing, else 0.
    """
    found = {slo.name: _excess(slo, target) for slo in slos}
    found["failure_rate"] = target.summary.failure_rate - MAX_FAILURE_RATE
    found["queue"] = 1.0 if target.summary.queue_growing else 0.0
    return found


def _value(objective: str, target: LoadPoint, capacity: Capacity) -> float | None:
    if objective == CAPACITY:
        return capacity.rps
    latency, percentile = split_name(objective)
    return target.summary.latency(latency).statistic(percentile)


def _excess(slo: Slo, target: LoadPoint) -> float:
    value = target.summary.latency(slo.latency).statistic(slo.percentile)
    return _UNSUPPORTED if value is None else (value - slo.limit) / slo.limit
