"""Owns what the capacity search keeps of an open-loop load point: for everything that can break, how near it came.

A criterion is a quantity that rises with the rate, and a bound on it. For a percentile it is the share of values above
the SLO's limit, which must not exceed 5 % for a p95: unlike a percentile, a share is an unbiased mean over requests, it
says something even where the point was given up, and in a queue its odds rise nearly exponentially with the rate. For a
mean it is the mean over its limit. Failed requests are a criterion of their own: at most 1 % of all.

Only the steady window counts (`tuner.metrics.windows`). Judges nothing and estimates no capacity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import Arrivals
from tuner.domain.load import LoadResult
from tuner.domain.slo import Latency, Percentile, Slo
from tuner.metrics.columns import Columns, Values
from tuner.metrics.distributions import NEEDED, QUANTILES, quantile
from tuner.metrics.latency import of_request
from tuner.metrics.saturation import queue_growing
from tuner.metrics.verdict import MAX_FAILURE_RATE
from tuner.metrics.windows import Window, steady_window

_MOMENT = 1e-3
"""Seconds: the point ends in the moment in which the last waiting request exceeds the limit."""
_ENOUGH, _QUICK = 50, 0.05
"""So many answers tell how times in service vary; so many of them, as a share, hardly waited for their first token."""
FAILURES = "failures"
"""The criterion that at most 1 % of the requests fail."""


@dataclass(frozen=True)
class Criterion:
    """One quantity of one load point. Arrays have shape (requests,), in order of arrival."""

    name: str
    allowed: float | None
    """The share of values that may exceed the limit; None for a mean."""
    values: Values
    """How many of a request's values exceed the limit (0 or 1, but for ITL); for a mean, their sum over the limit."""
    weights: Values
    """How many values a request has: 1, 0 where it failed, and for ITL its gaps."""
    used: float | None = None
    """The statistic over its limit, 0.8 is 80 % of it; None where the sample supports none."""
    at_least: bool = False
    """The point was given up: the share is at least this, and nothing more is known."""

    @cached_property
    def level(self) -> float:
        """The share above the limit, or the mean over it; 0 without a value."""
        weight = float(self.weights.sum())
        return float(self.values.sum()) / weight if weight else 0.0

    @property
    def held(self) -> bool:
        """Whether the bound was kept."""
        return self.level <= (1.0 if self.allowed is None else self.allowed)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the search knows of one open-loop load point."""

    rate: float
    """Requests per second, as asked for."""
    realised: float
    """Requests per second that arrived in the steady window."""
    requests: int
    """How many it was to send."""
    seconds: float
    """How long it took."""
    criteria: tuple[Criterion, ...]
    gaps: Values
    """Time from the arrival before to this one, over the mean, shape (requests,); empty where that means nothing."""
    growing: bool
    """Whether the queue kept growing."""
    given_up: bool = False
    valid: bool = True
    """Whether its figures are the server's; a point that the client bent says nothing."""
    variability: float | None = None
    """Squared coefficient of variation of the requests' time in service; None where too few ended to tell."""

    @property
    def held(self) -> bool:
        """Whether nothing broke."""
        return not self.growing and not self.plainly_broken

    @property
    def plainly_broken(self) -> bool:
        """Whether a bound was exceeded: a growing queue alone is a verdict that is wrong now and then."""
        return self.given_up or not all(one.held for one in self.criteria)

    @property
    def used(self) -> float | None:
        """The largest statistic over its limit; None where one is missing."""
        known = [one.used for one in self.criteria if one.name != FAILURES]
        return None if self.given_up or None in known else max((one for one in known if one is not None), default=None)


def evidence(
    result: LoadResult, arrivals: Arrivals, slos: Sequence[Slo], *, requests: int, seconds: float, valid: bool = True
) -> Measured:
    """Return what an open-loop load point says to the search.

    Args:
        result: what the load generator brought back.
        arrivals: open loop, at a known rate.
        slos: what capacity is held against.
        requests: how many the point was to send; a given-up one sent fewer.
        seconds: how long it took in all, for the time budget.
        valid: whether the client kept up.

    Raises:
        ValueError: the arrivals have no one rate.
    """
    columns = Columns.of(result.records)
    given_up = bool(result.given_up)
    growing = not given_up and queue_growing(columns, arrivals)
    told = Told(arrivals, requests, seconds, growing=growing, given_up=given_up, valid=valid)
    return evidence_of(columns, told, slos)


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of an open-loop load point besides its requests."""

    arrivals: Arrivals
    requests: int
    """How many it was to send."""
    seconds: float
    """How long it took in all."""
    growing: bool
    """Whether its queue kept growing."""
    given_up: bool
    valid: bool


def evidence_of(columns: Columns, told: Told, slos: Sequence[Slo], window: Window | None = None) -> Measured:
    """Return what an open-loop load point says to the search, by its requests; its steady window may be known.

    Raises:
        ValueError: the arrivals have no one rate.
    """
    rate = told.arrivals.offered_rps
    if rate is None:
        raise ValueError("the capacity search reads open-loop load points at one rate")
    if told.given_up:
        return _broken_for_certain(columns, told, rate, slos)
    steady, gaps = _steady(columns, window or steady_window(columns, told.arrivals))
    mean_gap = float(gaps.mean()) if gaps.size else 0.0
    return Measured(
        rate=rate,
        realised=1 / mean_gap if mean_gap else rate,
        requests=told.requests,
        seconds=told.seconds,
        criteria=(*(_criterion(slo, steady) for slo in slos), _failures(steady)),
        gaps=gaps / mean_gap if mean_gap else np.empty(0),
        growing=told.growing,
        valid=told.valid,
        variability=_variability(steady),
    )


def _variability(steady: Columns) -> float | None:
    """Return how much times in service vary: from the first token on, and before it what the quickest waited."""
    answered = steady.ok & (steady.event_counts > 0)
    if answered.sum() < _ENOUGH:
        return None
    first = steady.first[answered]
    waits = first - steady.scheduled_at[answered]
    services = steady.finished_at[answered] - first + quantile(waits, _QUICK)
    mean = float(services.mean())
    return float(services.var()) / mean**2 if mean > 0 else None


def _steady(columns: Columns, window: Window) -> tuple[Columns, Values]:
    """Return the requests of the steady window and the gaps before them; none where records aren't arrivals."""
    order = np.argsort(columns.scheduled_at, kind="stable")
    starts = columns.scheduled_at[order]
    inside = window.holds(starts)
    steady = columns.take(order[inside])
    gaps = np.diff(starts, prepend=0.0)[inside]
    return steady, np.empty(0) if steady.steps.any() else gaps


def _criterion(slo: Slo, steady: Columns) -> Criterion:
    sizes, flat = _values(slo, steady)
    supported = flat.size >= NEEDED[slo.percentile]
    if slo.percentile is Percentile.MEAN:
        sums = _sums(flat / slo.limit, sizes)
        return Criterion(slo.name, None, sums, sizes, float(flat.mean()) / slo.limit if supported else None)
    share = QUANTILES[slo.percentile]
    used = quantile(flat, share) / slo.limit if supported else None
    return Criterion(slo.name, 1 - share, _sums((flat > slo.limit).astype(np.float64), sizes), sizes, used)


def _values(slo: Slo, steady: Columns) -> tuple[Values, Values]:
    """Return how many values each request has, and the values of all, one request's after the other's."""
    if slo.latency is Latency.ITL:
        gaps, counts = steady.gaps()
        return np.where(steady.ok, counts, 0).astype(np.float64), gaps[np.repeat(steady.ok, counts)]
    values = of_request(slo.latency, steady)
    known = steady.ok & ~np.isnan(values)
    return known.astype(np.float64), values[known]


def _sums(flat: Values, sizes: Values) -> Values:
    """Return the sum of each request's values, shape (requests,)."""
    ends = np.cumsum(sizes).astype(np.int64)
    running = np.concatenate([[0.0], np.cumsum(flat)])[ends] if ends.size else np.empty(0)
    return np.diff(running, prepend=0.0)


def _failures(steady: Columns) -> Criterion:
    return Criterion(FAILURES, MAX_FAILURE_RATE, (~steady.ok).astype(np.float64), np.ones(len(steady)))


def _broken_for_certain(columns: Columns, told: Told, rate: float, slos: Sequence[Slo]) -> Measured:
    """Return a given-up point: the share of all its requests that is certain to exceed a limit, and nothing else."""
    bounds = [_bound(slo, columns, told.requests) for slo in slos if slo.percentile is not Percentile.MEAN]
    certain = tuple(bound for bound in bounds if not bound.held)
    empty = np.empty(0)
    return Measured(
        rate, rate, told.requests, told.seconds, certain, empty, growing=False, given_up=True, valid=told.valid
    )


def _bound(slo: Slo, columns: Columns, requests: int) -> Criterion:
    exceeded = np.zeros(max(requests, len(columns)))  # more records than requests: each was of several calls
    exceeded[: int(_exceeds(slo, columns).sum())] = 1.0
    return Criterion(slo.name, 1 - QUANTILES[slo.percentile], exceeded, np.ones(exceeded.size), at_least=True)


def _exceeds(slo: Slo, columns: Columns) -> NDArray[np.bool_]:
    """Return which requests certainly exceed a limit, those that were still waiting when the point ended included."""
    if slo.latency is Latency.ITL:
        return np.zeros(len(columns), dtype=np.bool_)
    exceeding = of_request(slo.latency, columns) > slo.limit
    if slo.latency is Latency.TPOT:
        return exceeding
    waited = columns.finished_at - columns.scheduled_at > slo.limit - _MOMENT
    unanswered = np.True_ if slo.latency is Latency.E2E else columns.event_counts == 0
    return exceeding | (columns.cancelled & waited & unanswered)
