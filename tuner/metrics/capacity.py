"""Owns the capacity that load points show: the estimate, its 90 % interval, what limits it, and why it is so wide.

Every criterion (each SLO, failed requests, the queue's growth) has a rate at which it crosses its bound, known as a
distribution (`tuner.metrics.crossing`). The capacity is where the first of them crosses: the criterion with the lowest
median gives the estimate (its median) and the interval (its 5 % and 95 % quantiles).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import Slo
from tuner.domain.study import LoadPlan
from tuner.metrics.crossing import Crossing, crossing, queue_crossing
from tuner.metrics.evidence import FAILURES, Measured

QUEUE = "queue"
CONFIDENCE = 0.9
_BEYOND = 2.0
"""Crossings are looked for this many times outside of the search range."""
_ASIDE = 1.3
"""A verdict is not wrong by chance so far from the crossing."""
_ROUNDING = 1 - 1e-6
_MINUTE_FROM, _HOURS_FROM = 90.0, 90.0
_NEAR = 1.2
"""Points within this factor of the crossing are near it."""
_FAR = 1.1
"""From this factor on a verdict is no longer chance: twice what an interval of the default tolerance spans."""


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
    """Return the estimate that valid load points support, None where there is none at all.

    What never broke limits nothing, once something else did: without a single failed request a few hundred don't tell
    where one in a hundred would fail.
    """
    if not points:
        return None
    low, high = _considered(plan, target_rps, points)
    broken = {one.name for point in points for one in point.criteria if not one.held}
    broken |= {QUEUE} if any(point.growing for point in points) else set()
    names = [*(slo.name for slo in slos), FAILURES, QUEUE]
    limits = [name for name in names if name in broken] or names
    found = {name: _crossing(name, points, low, high) for name in limits}
    name, first = min(found.items(), key=lambda item: item[1].rate(0.5))
    return _estimate(name, first)


def _crossing(name: str, points: Sequence[Measured], low: float, high: float) -> Crossing:
    return queue_crossing(points, low, high) if name == QUEUE else crossing(name, points, low, high)


def _considered(plan: LoadPlan, target_rps: float, points: Sequence[Measured]) -> tuple[float, float]:
    """Return the lowest and the highest rate that come into question: those near the verdicts, once there are both.

    A few requests, or a point that was given up, say too little by themselves to rule out rates far beyond them.
    """
    low, high = target_rps * plan.lowest / _BEYOND, target_rps * plan.highest * _BEYOND
    first, last = verdict_span(points)
    return (max(low, first / _ASIDE), min(high, last * _ASIDE)) if first > 0 and last < math.inf else (low, high)


def verdict_span(points: Sequence[Measured]) -> tuple[float, float]:
    """Return the highest rate that held and the lowest that plainly broke, the smaller first.

    0 stands for the one where nothing held, infinity for the other where nothing broke.
    """
    held = max((point.rate for point in points if point.held), default=0.0)
    broken = min((point.rate for point in points if point.plainly_broken), default=math.inf)
    return min(held, broken), max(held, broken)


def _estimate(name: str, found: Crossing) -> Estimate:
    tail = (1 - CONFIDENCE) / 2
    return Estimate(found.rate(0.5), found.rate(tail), found.rate(1 - tail), name, found)


def near(points: Sequence[Measured], rate: float) -> list[Measured]:
    """Return the points that tell how things are near a rate: close to it, and not given up."""
    return [point for point in points if not point.given_up and 1 / _NEAR <= point.rate / rate <= _NEAR]


def capacity(
    plan: LoadPlan,
    slos: Sequence[Slo],
    target_rps: float,
    measured: Sequence[Measured],
    found: Estimate | None = None,
) -> Capacity:
    """Return the capacity that a search's load points show.

    Where everything held, the highest rate measured with an open upper end; where everything broke, none, with the
    lowest rate measured as the upper end.

    Args:
        plan: range and tolerance.
        slos: what must hold.
        target_rps: requests per second.
        measured: every load point, the invalid ones among them.
        found: what `estimate` makes of the valid ones, where that is known already.
    """
    points = [point for point in measured if point.valid]
    found = found or estimate(plan, slos, target_rps, points)
    if found is None:
        return Capacity(rps=0.0, upper_rps=None, note="no load point was valid: the client was the bottleneck")
    held = [point.rate for point in points if point.held]
    broken = [point.rate for point in points if not point.held]
    if not broken:
        note = "" if max(held) >= target_rps * plan.highest * _ROUNDING else _ended(plan, measured)
        return Capacity(rps=max(held), lower_rps=min(max(held), found.lower), upper_rps=None, note=note)
    if not held:
        note = "" if min(broken) * _ROUNDING <= target_rps * plan.lowest else _ended(plan, measured)
        return Capacity(rps=0.0, upper_rps=min(broken), limited_by=found.limited_by, note=note)
    found = _between_verdicts(found, points)
    wide = found.half_width > plan.tolerance
    return Capacity(
        rps=found.rate,
        lower_rps=found.lower,
        upper_rps=found.upper,
        limited_by=found.limited_by,
        note=_owed(plan, measured, found) if wide else "",
    )


def _between_verdicts(found: Estimate, points: Sequence[Measured]) -> Estimate:
    """Return the estimate with its interval cut at load points far from it whose verdict agrees with it.

    Few requests say little by the share above a limit, and the interval of a short search can reach beyond rates that
    plainly held, or plainly broke. Near the crossing verdicts are chance, and cut nothing.
    """
    below = [point.rate for point in points if point.held and point.rate <= found.rate / _FAR]
    above = [point.rate for point in points if point.plainly_broken and point.rate >= found.rate * _FAR]
    return replace(found, lower=max(found.lower, *below, 0.0), upper=min(found.upper, min(above, default=math.inf)))


def _ended(plan: LoadPlan, measured: Sequence[Measured]) -> str:
    """Return what ended the search."""
    if len(measured) >= plan.max_points:
        return f"{plan.max_points} load points"
    return "" if plan.time_budget is None else f"time budget of {format_seconds(plan.time_budget)}"


def _owed(plan: LoadPlan, measured: Sequence[Measured], found: Estimate) -> str:
    """Return what a wide interval is owed to, and what a narrow one would have cost: variance falls with time."""
    ended = _ended(plan, measured) or f"{len(measured)} load points"
    spent = sum(point.seconds for point in measured)
    needed = spent * (found.half_width / plan.tolerance) ** 2
    return f"{ended}: ±{found.half_width:.0%}; ±{plan.tolerance:.0%} would take about {format_seconds(needed)}"


def format_seconds(seconds: float) -> str:
    """Return a duration for people: `45 s`, `9 minutes`, `2.5 hours`."""
    if seconds < _MINUTE_FROM:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < _HOURS_FROM else f"{minutes / 60:.1f} hours"


def capacity_of_points(points: Sequence[LoadPoint], slos: Sequence[Slo]) -> Capacity:
    """Return the capacity that stored open-loop load points show, without their records.

    Their summaries must have been judged by these SLOs. The estimate lies where the tightest limit would be reached
    on a straight line in logarithms between the highest rate that held and the lowest that broke, and these two are
    the interval: it has no confidence of its own. A rate that held above one that broke counts for nothing.
    """
    rated = [(rate, point) for point in points if (rate := point.arrivals.offered_rps) and not point.summary.invalid]
    broken = min(((rate, point) for rate, point in rated if not point.summary.slo_met), default=None, key=_first)
    under = [pair for pair in rated if pair[1].summary.slo_met and (broken is None or pair[0] < broken[0])]
    held = max(under, default=None, key=_first)
    if held is None:
        return Capacity(rps=0.0, upper_rps=broken[0] if broken else None)
    if broken is None:
        return Capacity(rps=held[0], lower_rps=held[0], upper_rps=None)
    low, high = _used(held[1], slos), _used(broken[1], slos)
    part = 0.0
    if low is not None and high is not None and low[0] < 1 < high[0] and not broken[1].summary.given_up:
        part = -math.log(low[0]) / (math.log(high[0]) - math.log(low[0]))
    return Capacity(
        rps=held[0] * (broken[0] / held[0]) ** part,
        lower_rps=held[0],
        upper_rps=broken[0],
        limited_by=QUEUE if broken[1].summary.queue_growing else high[1] if high else "",
        note="from stored percentiles: the interval is the bracket",
    )


def target_point(points: Sequence[LoadPoint], target_rps: float) -> LoadPoint | None:
    """Return the load point at the target rate, the latest one where there are several."""
    at_target = [point for point in points if math.isclose(point.arrivals.offered_rps or 0.0, target_rps, rel_tol=1e-6)]
    return at_target[-1] if at_target else None


def _first(pair: tuple[float, LoadPoint]) -> float:
    return pair[0]


def _used(point: LoadPoint, slos: Sequence[Slo]) -> tuple[float, str] | None:
    """Return the largest statistic over its limit and the SLO's name; None where one is missing or zero."""
    values = [(point.summary.latency(slo.latency).statistic(slo.percentile), slo) for slo in slos]
    known = [(value / slo.limit, slo.name) for value, slo in values if value]
    return max(known) if known and len(known) == len(values) else None
