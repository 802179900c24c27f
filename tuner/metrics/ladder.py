"""Owns the ladder of rates: which rate comes next, and what the rates visited so far say of capacity. Loads nothing."""

import math
from collections.abc import Sequence

from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.study import LoadPlan

_SAME = 1e-6


def next_rate(plan: LoadPlan, target_rps: float, points: Sequence[LoadPoint]) -> float | None:
    """Return the next rate to measure, in requests per second, or None when the ladder is done.

    The target comes first. Where it held, the rates above it follow in order until one breaks; where it broke, the
    rates below it follow downwards until one holds, so that the capacity below the target is known.
    """
    held = dict(_verdicts(points))
    target = _verdict(held, target_rps)
    if target is None:
        return target_rps
    steps = [rate for rate in plan.rates if rate > 1] if target else [rate for rate in reversed(plan.rates) if rate < 1]
    for step in steps:
        verdict = _verdict(held, step * target_rps)
        if verdict is None:
            return step * target_rps
        if verdict is not target:
            return None
    return None


def most_points(plan: LoadPlan, target_rps: float, points: Sequence[LoadPoint]) -> int:
    """Return how many rates the ladder visits at the most, given what was measured so far."""
    target_held = _verdict(dict(_verdicts(points)), target_rps) is not False
    return 1 + sum(rate > 1 if target_held else rate < 1 for rate in plan.rates)


def capacity(points: Sequence[LoadPoint]) -> Capacity:
    """Return the capacity that open-loop load points show: the highest rate that held below the lowest that broke.

    A rate that held above one that broke counts for nothing: capacity is monotone, and the broken one is the safer
    reading.
    """
    verdicts = _verdicts(points)
    upper = min((rate for rate, held in verdicts if not held), default=None)
    below = [rate for rate, held in verdicts if held and (upper is None or rate < upper)]
    return Capacity(rps=max(below, default=0.0), upper_rps=upper)


def target_point(points: Sequence[LoadPoint], target_rps: float) -> LoadPoint | None:
    """Return the load point at the target rate, the latest one where there are several."""
    at_target = [point for point in points if (rate := _rate(point)) is not None and _same(rate, target_rps)]
    return at_target[-1] if at_target else None


def _rate(point: LoadPoint) -> float | None:
    return point.arrivals.offered_rps


def _verdicts(points: Sequence[LoadPoint]) -> list[tuple[float, bool]]:
    return [(rate, point.summary.slo_met) for point in points if (rate := _rate(point)) is not None]


def _verdict(held: dict[float, bool], rate: float) -> bool | None:
    return next((verdict for measured, verdict in held.items() if _same(measured, rate)), None)


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_SAME)
