"""Owns the search for the capacity: which load point comes next, at which rate, how long, and when the search is over.

1. *Target.* The first load point is at the target rate, never given up: latencies are compared there.
2. *Bracket.* The rate goes up while everything holds, down while something breaks: by a factor that depends on how much
   of the tightest limit is in use. Points are short, and given up once they are hopeless.
3. *Narrow.* Between a rate that held and one that broke, the next is where the tightest limit would be reached on a
   straight line in logarithms.
4. *Refine.* With the bracket narrow, requests are spent near the estimated crossing, where they tell most
   (`tuner.metrics.design`): points that grow with what is known, the last only as large as the tolerance still needs.

Loads nothing, and estimates nothing itself (`tuner.metrics.capacity` does).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.domain.load import GiveUp
from tuner.domain.slo import Slo
from tuner.domain.study import LoadPlan
from tuner.metrics.capacity import Estimate, estimate, near, verdict_span
from tuner.metrics.design import cheapest
from tuner.metrics.distributions import NEEDED
from tuner.metrics.evidence import Measured
from tuner.metrics.give_up import give_up

AT_THE_CROSSING = "at the crossing"
"""Why a refining point is measured."""
_NARROW = 1.3
"""A bracket of this ratio is narrow."""
_SMALLEST_STEP, _LARGEST_STEP = 1.25, 2.0
_UPWARDS, _DOWNWARDS = 0.7, 0.5
"""The step is the limit over what is used of it, to this power: latencies rise faster the nearer a queue is to full."""
_REST = 1.15
"""A step that would leave less than this to the end of the range goes to the end."""
_INSIDE = (0.2, 0.8)
"""Where in a bracket the next rate may lie, by the logarithm."""
_BEYOND = 1.1
"""How far beyond the highest rate that held and the lowest that broke a refining point may lie."""
_STEP = 60.0
"""Above this steepness more requests at a rate tell nothing new: the bracket is halved instead."""
_WORTH_IT = 0.1
"""A refining point with fewer requests than this share of those before it would change nothing."""
_GROWTH = 0.6
"""A refining point is at most so large, of all those before it near there: the estimate still moves."""
_BESIDE = 1.5
"""So many times the requests that a percentile needs: a quarter of the time may lie beside the steady window, and a few
more requests in it than elsewhere."""
_SAME = 1e-6
_HOPELESS_MARGIN = 4.0
"""A refining point near the crossing is only given up when it is so many times as hopeless as a percentile needs."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A load point to measure."""

    rate: float
    """Requests per second."""
    requests: int
    give_up: tuple[GiveUp, ...]
    why: str
    """In a few words, for people."""


@dataclass(frozen=True, slots=True)
class _State:
    plan: LoadPlan
    slos: Sequence[Slo]
    target: float
    points: Sequence[Measured]
    left_s: float
    found: Estimate | None = None

    @property
    def top(self) -> float:
        return self.target * self.plan.highest

    @property
    def bottom(self) -> float:
        return self.target * self.plan.lowest

    @property
    def held(self) -> list[Measured]:
        return [point for point in self.points if point.held]

    @property
    def broken(self) -> list[Measured]:
        return [point for point in self.points if not point.held]

    def supported(self, requests: int) -> int:
        """Return how many requests a point needs, at least so many, for its percentiles to have a figure."""
        return max(requests, *(math.ceil(_BESIDE * NEEDED[slo.percentile]) for slo in self.slos), 1)


def next_probe(
    plan: LoadPlan,
    slos: Sequence[Slo],
    target_rps: float,
    measured: Sequence[Measured],
    spent_s: float,
    found: Estimate | None = None,
) -> Probe | None:
    """Return the next load point, or None when the search is over.

    Args:
        plan: range, tolerance, time budget.
        slos: what must hold.
        target_rps: requests per second.
        measured: every load point so far, in order, the invalid ones among them.
        spent_s: seconds that they took.
        found: what `estimate` makes of the valid ones, where that is known already.
    """
    if not any(_same(point.rate, target_rps) for point in measured):
        state = _State(plan, slos, target_rps, (), math.inf)
        return Probe(target_rps, state.supported(plan.requests(target_rps)), (), "the target rate")
    if len(measured) >= plan.max_points:
        return None
    left = math.inf if plan.time_budget is None else plan.time_budget - spent_s
    state = _State(plan, slos, target_rps, [point for point in measured if point.valid], left, found)
    probe = _wanted(state)
    return None if probe is None else _affordable(state, measured, probe)


def _wanted(state: _State) -> Probe | None:
    if not state.points:
        return None
    if not state.broken:
        return _climb(state)
    if not state.held:
        return _descend(state)
    low, high = _bracket(state)
    if low.rate < high.rate and high.rate / low.rate > _NARROW:
        return _passing(state, _between(low, high), "between a rate that held and one that broke")
    return _refine(state)


def _climb(state: _State) -> Probe | None:
    last = max(state.held, key=lambda point: point.rate)
    if last.rate >= state.top * (1 - _SAME):
        return None
    room = 1 / last.used if last.used else _LARGEST_STEP
    step = min(max(room**_UPWARDS, _SMALLEST_STEP), _LARGEST_STEP)
    rate = last.rate * step
    return _passing(state, state.top if rate * _REST > state.top else rate, "higher: everything held")


def _descend(state: _State) -> Probe | None:
    last = min(state.broken, key=lambda point: point.rate)
    if last.rate <= state.bottom * (1 + _SAME):
        return None
    step = min(max((last.used or math.inf) ** _DOWNWARDS, _SMALLEST_STEP), _LARGEST_STEP)
    rate = last.rate / step
    return _passing(state, state.bottom if rate / _REST < state.bottom else rate, "lower: something broke")


def _bracket(state: _State) -> tuple[Measured, Measured]:
    """Return the highest rate that held below the lowest that broke, and that one; crossed where they contradict."""
    high = min(state.broken, key=lambda point: point.rate)
    return max(state.held, key=lambda point: point.rate), high


def _between(low: Measured, high: Measured) -> float:
    part = 0.5
    if low.used and high.used and high.used > low.used:
        part = -math.log(low.used) / (math.log(high.used) - math.log(low.used))
    part = min(max(part, _INSIDE[0]), _INSIDE[1])
    return low.rate * (high.rate / low.rate) ** part


def _passing(state: _State, rate: float, why: str) -> Probe:
    """Return a short point that is only passed by: long enough for a verdict, given up when it is hopeless."""
    requests = state.supported(max(state.plan.min_requests, round(rate * state.plan.duration / 2)))
    return Probe(rate, requests, give_up(state.slos, requests), why)


def _refine(state: _State) -> Probe | None:
    found = state.found or estimate(state.plan, state.slos, state.target, state.points)
    if found is None:
        return None
    seen = sum(point.requests for point in near(state.points, found.rate))
    # With fewer a lucky start could end the search.
    fewest = 0 if found.first.steepness > _STEP else state.plan.fewest_near_capacity
    if found.half_width <= state.plan.tolerance and seen >= fewest:
        return None
    small = _passing(state, _inside(state, found.rate), AT_THE_CROSSING)
    if found.first.steepness > _STEP:
        return small
    most = max(small.requests, round(_GROWTH * seen))
    rate, requests = cheapest(found, state.points, state.plan.tolerance, small.requests, most)
    hopeless = give_up(state.slos, requests, margin=_HOPELESS_MARGIN)
    return Probe(_inside(state, rate), requests, hopeless, AT_THE_CROSSING)


def _inside(state: _State, rate: float) -> float:
    """Return the rate, brought near the verdicts: before much is known, an estimate can lie far beyond them."""
    low, high = verdict_span(state.points)
    return min(max(rate, low / _BEYOND, state.bottom), high * _BEYOND, state.top)


def _affordable(state: _State, measured: Sequence[Measured], probe: Probe) -> Probe | None:
    """Return the probe cut to the time that is left, or None where too little of it would remain."""
    beyond = max((point.seconds - point.requests / point.rate for point in measured if not point.given_up), default=0.0)
    affordable = (state.left_s - max(beyond, 0.0)) * probe.rate
    if probe.requests <= affordable:
        return probe
    least = state.supported(state.plan.min_requests)
    worth = _WORTH_IT * sum(point.requests for point in near(state.points, probe.rate))
    if affordable < max(least, worth):
        return None
    requests = int(affordable)
    margin = _HOPELESS_MARGIN if probe.why == AT_THE_CROSSING else 1.0
    return Probe(probe.rate, requests, give_up(state.slos, requests, margin=margin), probe.why)


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_SAME)
