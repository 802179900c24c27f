"""Owns what the capacity search keeps of an open-loop load point: for everything that can break, how near it came.

A criterion is a quantity that rises with the rate, and a bound on it. For a percentile it is the share of values above
the SLO's limit, which must not exceed 5 % for a p95: unlike a percentile, a share is an unbiased mean over requests, it
says something even where the point was given up, and in a queue its odds rise nearly exponentially with the rate. For a
mean it is the mean over its limit. Failed requests are a criterion of their own: at most 1 % of all.

Only the steady window counts (`tuner.metrics.windows`). Judges nothing and estimates no capacity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import Arrivals
from tuner.domain.load import LoadResult, Outcome, RequestRecord
from tuner.domain.slo import Latency, Percentile, Slo
from tuner.metrics.distributions import NEEDED, QUANTILES
from tuner.metrics.latency import of_request
from tuner.metrics.saturation import queue_growing
from tuner.metrics.verdict import MAX_FAILURE_RATE
from tuner.metrics.windows import steady_window

Values = NDArray[np.float64]
Records = Sequence[RequestRecord]

_MOMENT = 1e-3
"""Seconds: the point ends in the moment in which the last waiting request exceeds the limit."""
_ENOUGH, _QUICK = 50, 0.05
"""So many answers tell how times in service vary; so many of them, as a share, hardly waited for their first token."""
FAILURES = "failures"
"""The criterion that at most 1 % of the requests fail."""


@dataclass(frozen=True, slots=True)
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

    @property
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
    rate = arrivals.offered_rps
    if rate is None:
        raise ValueError("the capacity search reads open-loop load points at one rate")
    if result.given_up:
        return _broken_for_certain(result.records, rate, slos, requests, seconds, valid=valid)
    steady, gaps = _steady(result.records, arrivals)
    mean_gap = float(gaps.mean()) if gaps.size else 0.0
    return Measured(
        rate=rate,
        realised=1 / mean_gap if mean_gap else rate,
        requests=requests,
        seconds=seconds,
        criteria=(*(_criterion(slo, steady) for slo in slos), _failures(steady)),
        gaps=gaps / mean_gap if mean_gap else np.empty(0),
        growing=queue_growing(result.records, arrivals),
        valid=valid,
        variability=_variability(steady),
    )


def _variability(records: Records) -> float | None:
    """Return how much times in service vary: from the first token on, and before it what the quickest waited."""
    answered = [record for record in records if record.outcome is Outcome.OK and record.event_times]
    if len(answered) < _ENOUGH:
        return None
    waits = np.array([record.event_times[0] - record.scheduled_at for record in answered])
    answers = np.array([record.finished_at - record.event_times[0] for record in answered])
    services = answers + np.quantile(waits, _QUICK)
    mean = float(services.mean())
    return float(services.var()) / mean**2 if mean > 0 else None


def _steady(records: Records, arrivals: Arrivals) -> tuple[Records, Values]:
    """Return the records of the steady window and the gaps before them; none where records aren't arrivals."""
    ordered = sorted(records, key=lambda record: record.scheduled_at)
    starts = np.array([record.scheduled_at for record in ordered])
    inside = steady_window(ordered, arrivals).holds(starts)
    steady = [record for record, is_inside in zip(ordered, inside.tolist(), strict=True) if is_inside]
    gaps = np.diff(starts, prepend=0.0)[inside]
    return steady, np.empty(0) if any(record.step for record in steady) else gaps


def _criterion(slo: Slo, records: Records) -> Criterion:
    sizes, flat = _values(slo, records)
    supported = flat.size >= NEEDED[slo.percentile]
    if slo.percentile is Percentile.MEAN:
        sums = _sums(flat / slo.limit, sizes)
        return Criterion(slo.name, None, sums, sizes, float(flat.mean()) / slo.limit if supported else None)
    quantile = QUANTILES[slo.percentile]
    used = float(np.quantile(flat, quantile)) / slo.limit if supported else None
    return Criterion(slo.name, 1 - quantile, _sums((flat > slo.limit).astype(np.float64), sizes), sizes, used)


def _values(slo: Slo, records: Records) -> tuple[Values, Values]:
    """Return how many values each request has, and the values of all, one request's after the other's."""
    done = np.array([record.outcome is Outcome.OK for record in records], dtype=np.bool_)
    if slo.latency is Latency.ITL:
        parts = [np.diff(record.event_times) if is_done else () for record, is_done in zip(records, done, strict=True)]
        flat = np.concatenate(parts) if parts else np.empty(0)
        return np.array([len(part) for part in parts], dtype=np.float64), flat
    values = of_request(slo.latency, records)
    known = done & ~np.isnan(values)
    return known.astype(np.float64), values[known]


def _sums(flat: Values, sizes: Values) -> Values:
    """Return the sum of each request's values, shape (requests,)."""
    ends = np.cumsum(sizes).astype(np.int64)
    running = np.concatenate([[0.0], np.cumsum(flat)])[ends] if ends.size else np.empty(0)
    return np.diff(running, prepend=0.0)


def _failures(records: Records) -> Criterion:
    failed = np.array([float(record.outcome is not Outcome.OK) for record in records])
    return Criterion(FAILURES, MAX_FAILURE_RATE, failed, np.ones(len(records)))


def _broken_for_certain(
    records: Records, rate: float, slos: Sequence[Slo], requests: int, seconds: float, *, valid: bool
) -> Measured:
    """Return a given-up point: the share of all its requests that is certain to exceed a limit, and nothing else."""
    bounds = [_bound(slo, records, requests) for slo in slos if slo.percentile is not Percentile.MEAN]
    certain = tuple(bound for bound in bounds if not bound.held)
    empty = np.empty(0)
    return Measured(rate, rate, requests, seconds, certain, empty, growing=False, given_up=True, valid=valid)


def _bound(slo: Slo, records: Records, requests: int) -> Criterion:
    exceeded = np.zeros(max(requests, len(records)))  # more records than requests: each was of several calls
    exceeded[: sum(_exceeds(slo, record) for record in records)] = 1.0
    return Criterion(slo.name, 1 - QUANTILES[slo.percentile], exceeded, np.ones(exceeded.size), at_least=True)


def _exceeds(slo: Slo, record: RequestRecord) -> bool:
    """Return whether a request certainly exceeds a limit, one that was still waiting when the point ended included."""
    values = of_request(slo.latency, [record])
    if values[0] > slo.limit:
        return slo.latency is not Latency.ITL
    waited = record.finished_at - record.scheduled_at > slo.limit - _MOMENT
    unanswered = slo.latency is Latency.E2E or not record.event_times
    return record.outcome is Outcome.CANCELLED and waited and unanswered and slo.latency in {Latency.TTFT, Latency.E2E}
