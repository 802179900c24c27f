"""The figures of a trial by name: what can be an objective, an axis of a front, a column of a table."""

from collections.abc import Sequence
from enum import StrEnum

from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import split_name
from tuner.domain.study import CAPACITY

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
    rated = sorted(
        ((offered, point) for point in valid if (offered := point.arrivals.offered_rps) is not None), key=lambda p: p[0]
    )
    above = [point for offered, point in rated if offered >= rate * (1 - 1e-9)]
    if above:
        return above[0]
    return rated[-1][1] if rated else None


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
