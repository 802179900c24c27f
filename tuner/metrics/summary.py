"""Owns the figures of one load point: what its request records amount to, and whether they meet the SLOs.

Latencies are those of completed requests; the failure rate is over all of them.

Rates (requests, tokens, goodput) are counted over the *counted interval*, chosen so that neither the filling at the
start nor the emptying at the end bends them:

- open loop: from the first request's end to the moment by which 95 % had ended. Requests leave a stable server at the
  rate at which they arrive, and an overloaded one at the rate it can serve, so a long tail after the last arrival
  does not lower the figure;
- closed loop: from the start to the last sending. After that users run dry, and the server is no longer under the load
  that was asked for.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import Arrivals, ClosedLoop
from tuner.domain.load import LoadResult, Outcome, RequestRecord
from tuner.domain.measurement import LoadSummary
from tuner.domain.slo import Slo
from tuner.metrics.distributions import distribution
from tuner.metrics.latency import e2e, itl, of_request, tpot, ttft, ttft_from_send
from tuner.metrics.saturation import in_flight, queue_growing
from tuner.metrics.verdict import Figures, violations

_COUNTED_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """The counted interval: requests that end within (start, end], seconds from the load point's start."""

    start: float
    end: float

    def per_second(self, ends: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        """Return the weights of what ended within it, per second."""
        counted = (ends > self.start) & (ends <= self.end)
        return float(weights[counted].sum()) / (self.end - self.start)


def summarise(result: LoadResult, arrivals: Arrivals, slos: Sequence[Slo]) -> LoadSummary:
    """Return a load point in figures.

    Args:
        result: what the load generator brought back, warm-up not among it.
        arrivals: how its requests arrived.
        slos: what it is held against; a request counts towards goodput when it met each limit by itself.
    """
    records = result.records
    done = [record for record in records if record.outcome is Outcome.OK]
    failure_rate = (len(records) - len(done)) / len(records) if records else 1.0
    figures = Figures(
        ttft=distribution(ttft(done)),
        tpot=distribution(tpot(done)),
        itl=distribution(itl(done)),
        e2e=distribution(e2e(done)),
        failure_rate=failure_rate,
        queue_growing=queue_growing(records, arrivals),
    )
    broken = violations(figures, slos)
    users_mean, users_max = _users(records, arrivals)
    return LoadSummary(
        completed=len(done),
        failed=len(records) - len(done),
        failure_rate=failure_rate,
        offered_rps=arrivals.offered_rps,
        **_rates(result, done, arrivals, slos),
        users_mean=users_mean,
        users_max=users_max,
        ttft=figures.ttft,
        tpot=figures.tpot,
        itl=figures.itl,
        e2e=figures.e2e,
        ttft_from_send=distribution(ttft_from_send(done)),
        tokens_per_event=_tokens_per_event(done),
        queue_growing=figures.queue_growing,
        slo_met=not broken,
        slo_violations=broken,
        errors=dict(Counter(str(record.outcome) for record in records if record.outcome is not Outcome.OK)),
    )


def counted_interval(result: LoadResult, arrivals: Arrivals) -> Interval:
    """Return the interval over which rates are counted; the whole load point where it is too short for that."""
    whole = Interval(0.0, max(result.duration, 1e-9))
    if not result.records:
        return whole
    ends = np.sort([record.finished_at for record in result.records])
    if isinstance(arrivals, ClosedLoop):
        sent = [record.sent_at for record in result.records if record.sent_at == record.sent_at]  # NaN
        interval = Interval(0.0, max(sent, default=0.0))
        enough = np.count_nonzero(ends <= interval.end) >= arrivals.concurrency
    else:
        interval = Interval(float(ends[0]), float(ends[int(np.ceil(_COUNTED_SHARE * ends.size)) - 1]))
        enough = interval.end > interval.start
    return interval if enough else whole


def meets_each_limit(records: Sequence[RequestRecord], slos: Sequence[Slo]) -> NDArray[np.bool_]:
    """Return for each request whether it met every SLO's limit by itself, shape (requests,).

    A latency that a request does not have (a TPOT of a single token) breaks no limit.
    """
    met = np.ones(len(records), dtype=np.bool_)
    for slo in slos:
        met &= ~(of_request(slo.latency, records) > slo.limit)
    return met


def _rates(
    result: LoadResult, done: Sequence[RequestRecord], arrivals: Arrivals, slos: Sequence[Slo]
) -> dict[str, float]:
    interval = counted_interval(result, arrivals)
    ends = np.array([record.finished_at for record in done])
    return {
        "achieved_rps": interval.per_second(ends, np.ones(len(done))),
        "output_tokens_per_s": interval.per_second(ends, np.array([float(record.output_tokens) for record in done])),
        "input_tokens_per_s": interval.per_second(ends, np.array([float(record.input_tokens) for record in done])),
        "goodput_rps": interval.per_second(ends, meets_each_limit(done, slos).astype(np.float64)),
    }


def _users(records: Sequence[RequestRecord], arrivals: Arrivals) -> tuple[float, int]:
    """Return requests in flight, intended start to end: mean over time while requests came, and maximum."""
    starts = np.array([record.scheduled_at for record in records])
    known = ~np.isnan(starts)
    starts, ends = starts[known], np.array([record.finished_at for record in records])[known]
    if not starts.size:
        return 0.0, 0
    window = float(starts.max())
    if window <= 0 or (isinstance(arrivals, ClosedLoop) and starts.size <= arrivals.concurrency):
        window = float(ends.max())
    inside = np.clip(np.minimum(ends, window) - starts, 0.0, None)
    return float(inside.sum()) / window if window > 0 else 0.0, int(in_flight(starts, ends, starts).max())


def _tokens_per_event(done: Sequence[RequestRecord]) -> float:
    events = sum(len(record.event_times) for record in done)
    return sum(record.output_tokens for record in done) / events if events else 0.0
