"""The figures of a trial by name: what can be an objective, an axis of a front, a column of a table."""

from collections.abc import Sequence
from enum import StrEnum

from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.overview import AtRate, Overview, speaker
from tuner.domain.slo import split_name
from tuner.domain.study import CAPACITY
from tuner.domain.trial import Purpose, Trial

_AT_TARGET = ("goodput_rps", "output_tokens_per_s", "achieved_rps", "users_mean")
THROUGHPUTS = (CAPACITY, *_AT_TARGET)
"""Figures that are not latencies. All are maximised but `users_mean`."""


class Direction(StrEnum):
    """Which way a figure is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


def direction(name: str) -> Direction:
    """Return which way a figure is better.

    Raises:
        ValueError: no such figure.
    """
    if name in THROUGHPUTS:
        return Direction.MINIMIZE if name == "users_mean" else Direction.MAXIMIZE
    split_name(name)
    return Direction.MINIMIZE


def point_at(points: Sequence[LoadPoint], rate: float) -> LoadPoint | None:
    """Return the load point that speaks for a rate: at it, else the next above it, else the highest below it.

    A point above the rate is a bound from the safe side: latency rises with the rate. An invalid point speaks for none.
    """
    valid = (point for point in points if not point.summary.invalid)
    rated = ((offered, point) for point in valid if (offered := point.arrivals.offered_rps) is not None)
    found = speaker(rated, rate, lambda pair: pair[0])
    return None if found is None else found[1]


def figure(name: str, capacity: Capacity | None, at_target: LoadPoint | None) -> float | None:
    """Return one figure of a trial, None where it was not measured.

    Raises:
        ValueError: no such figure.
    """
    if name == CAPACITY:
        return capacity.rps if capacity else None
    if at_target is None:
        return None
    if name in _AT_TARGET:
        return float(getattr(at_target.summary, name))
    latency, percentile = split_name(name)
    return at_target.summary.latency(latency).statistic(percentile)


def overview(trial: Trial, rate: float, names: Sequence[str]) -> Overview:
    """Return a trial that was read whole at a glance.

    Args:
        trial: with its load points.
        rate: requests per second.
        names: figures of the load point that speaks for it.

    Raises:
        ValueError: no such figure.
    """
    point = point_at(trial.judged_points, rate)
    offered = point.arrivals.offered_rps if point else None
    spoken = None
    if point is not None and offered is not None:
        spoken = AtRate(offered, point.summary.slo_met, {name: figure(name, None, point) for name in names})
    return Overview(
        trial.id,
        trial.number,
        trial.role,
        trial.state,
        trial.flags,
        trial.resolved,
        trial.duplicate_of,
        trial.failure_kind,
        trial.capacity,
        spoken,
        frozenset(one.purpose for one in trial.launches if one.purpose is not Purpose.MEASURE),
    )
