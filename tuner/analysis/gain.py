"""What the named configuration gains, with intervals that hold although it was picked for being good. Pure.

The best of several noisy figures is flattered by its noise (the winner's curse), and an interval around it that ignores
this covers too seldom. Here intervals are those of inference on winners (Andrews, Kitagawa and McCloskey 2024, The
Quarterly Journal of Economics 139(1)): conditional on the choice having fallen as it did, within a simultaneous
interval of one tenth of the error. They cover 90 to 91 % whatever the truth, and their estimate is median-unbiased.

The choice here is no plain maximum (rates to sustain, latencies, fewer flags), so the figures among which it would have
fallen the same are found by choosing again along the line on which only the figure in question moves.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tuner.analysis.normal import any_of, mass
from tuner.analysis.ties import Standings, choice
from tuner.domain.base import Frozen

CONFIDENCE = 0.9
_OUTER = 0.01
"""Error of the simultaneous interval: a tenth of the whole, as its authors advise."""
_TAIL = (1 - CONFIDENCE - _OUTER) / (1 - _OUTER) / 2
_STEPS = 40
"""Choices made again on either side of the figure; the ends between them are found by bisection."""
_BISECTIONS = 20
_HALVINGS = 50


class Gain(Frozen):
    """A capacity over that of vLLM's defaults."""

    ratio: float | None
    """The estimate, free of the winner's curse; None where only a bound is known."""
    lower: float | None
    """Lower end of the 90 % interval; None where it has none."""
    upper: float | None
    """Upper end; None where it has none."""
    note: str = ""
    """Why there is no estimate, in words."""


class Expected(Frozen):
    """What another launch of the named configuration should sustain, the winner's curse taken out."""

    rps: float
    lower_rps: float
    """Lower end of the 90 % interval, for a launch like those that were measured."""
    upper_rps: float


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its interval, as logarithms."""

    estimate: float
    lower: float
    upper: float


def gain(found: Standings, chosen: int, baseline: int) -> Gain:
    """Return the gain of one contender over another, by their places."""
    if chosen == baseline:
        return Gain(ratio=1.0, lower=1.0, upper=1.0, note="vLLM's defaults are the answer")
    bounded = found.held & ~found.is_open
    if bounded[chosen] and bounded[baseline]:
        interval = conditional(found, chosen, {chosen: 1.0, baseline: -1.0})
        return Gain(ratio=math.exp(interval.estimate), lower=math.exp(interval.lower), upper=math.exp(interval.upper))
    return _bounds(found, chosen, baseline)


def _bounds(found: Standings, chosen: int, baseline: int) -> Gain:
    """Return what is known where one of the two capacities is only bounded from one side."""
    reach = any_of(found.size, CONFIDENCE) * math.sqrt(found.variance[chosen] + found.variance[baseline])
    ratio = float(found.log[chosen] - found.log[baseline])
    if not found.held[chosen] or (found.is_open[chosen] and found.is_open[baseline]):
        return Gain(ratio=None, lower=None, upper=None, note="neither capacity is known well enough for a ratio")
    if found.is_open[baseline] and found.held[baseline]:
        return Gain(
            ratio=None, lower=None, upper=math.exp(ratio + reach), note="no measured rate broke vLLM's defaults"
        )
    if found.is_open[baseline]:
        return Gain(ratio=None, lower=None, upper=None, note="vLLM's defaults have no valid load point")
    what = "no measured rate broke it" if found.held[baseline] else "vLLM's defaults hold no measured rate"
    return Gain(ratio=None, lower=math.exp(ratio - reach), upper=None, note=what)


def expected(found: Standings, chosen: int) -> Expected | None:
    """Return what to expect of one contender; None where its capacity is not bounded from both sides."""
    if found.is_open[chosen] or not found.held[chosen]:
        return None
    interval = conditional(found, chosen, {chosen: 1.0})
    return Expected(
        rps=math.exp(interval.estimate), lower_rps=math.exp(interval.lower), upper_rps=math.exp(interval.upper)
    )


def conditional(found: Standings, chosen: int, contrast: dict[int, float]) -> Interval:
    """Return the hybrid interval of a contrast of logarithms, given that one was chosen.

    Args:
        found: All that the choice was among.
        chosen: The place of the one that `choice` names.
        contrast: Weights by place; finite figures only.
    """
    places = list(contrast)
    weights = np.array(list(contrast.values()))
    variance = float(weights**2 @ found.variance[places])
    value = float(weights @ found.log[places])
    if variance <= 0:
        return Interval(value, value, value)
    error = math.sqrt(variance)
    along = np.zeros(found.size)
    along[places] = weights * found.variance[places] / variance
    reach = any_of(found.size, 1 - _OUTER)

    def chooses(off: float) -> bool:
        return choice(replace(found, log=found.log + along * off * error)) == chosen

    region = _region(chooses, 2 * reach) if found.size > 1 else [(-2 * reach, 2 * reach)]
    low, middle, high = (_solved(region, reach, share) for share in (1 - _TAIL, 0.5, _TAIL))
    return Interval(value + middle * error, value + low * error, value + high * error)


def _region(chooses: Callable[[float], bool], reach: float) -> list[tuple[float, float]]:
    """Return where the choice stays the same, around zero, in standard deviations: intervals without overlap."""
    grid = np.linspace(-reach, reach, 2 * _STEPS + 1).tolist()
    same = [chooses(off) if off else True for off in grid]
    region: list[tuple[float, float]] = []
    begun = grid[0]
    for before, after, was, is_ in zip(grid[:-1], grid[1:], same[:-1], same[1:], strict=True):
        if was != is_:
            end = _boundary(chooses, before, after, was=was)
            if was:
                region.append((begun, end))
            begun = end
    return [*region, (begun, grid[-1])] if same[-1] else region


def _boundary(chooses: Callable[[float], bool], low: float, high: float, *, was: bool) -> float:
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if chooses(middle) == was else (low, middle)
    return (low + high) / 2


def _solved(region: list[tuple[float, float]], reach: float, share: float) -> float:
    """Return the truth for which what was seen, at zero, is this quantile of what the same choice would have seen.

    The share below zero falls as the truth rises.
    """
    low, high = -reach, reach
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(region, reach, middle) > share else (low, middle)
    return (low + high) / 2


def _below(region: list[tuple[float, float]], reach: float, truth: float) -> float:
    """Return how probable figures up to zero are among those of the region and within reach of the truth."""
    under, all_ = 0.0, 0.0
    for begin, end in region:
        low, high = max(begin - truth, -reach), min(end - truth, reach)
        if low < high:
            all_ += mass(low, high)
            under += mass(low, min(high, -truth)) if low < -truth else 0.0
    return under / all_ if all_ > 0 else float(truth < 0)
