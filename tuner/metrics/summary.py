"""Owns the figures of one load point: what its request records amount to, and whether they meet the SLOs.

Latencies are those of completed requests; the failure rate is over all requests, apart from those that a load point
given up early cancelled itself.

Without a window everything counts: all requests, and rates (requests, tokens, goodput) are totals over the whole
duration, as `vllm bench serve` has them. With a window (the steady part, `tuner.metrics.windows`) latencies are those
of requests meant to start within it, and rates count what ended within it: requests leave a stable server at the rate
at which they arrive and an overloaded one at the rate it can serve, and neither the filling at the start nor the
emptying at the end bends them. Counts, failures and users are always the whole load point's.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import Arrivals, ClosedLoop
from tuner.domain.load import LoadResult, Outcome, RequestRecord
from tuner.domain.measurement import LoadSummary
from tuner.domain.slo import Slo
from tuner.metrics.columns import Columns
from tuner.metrics.distributions import distribution
from tuner.metrics.latency import e2e, itl, of_request, tpot, ttft, ttft_from_send
from tuner.metrics.saturation import in_flight, queue_growing
from tuner.metrics.sessions import session_figures, step_figures
from tuner.metrics.validity import invalid_reasons
from tuner.metrics.verdict import Figures, violations
from tuner.metrics.windows import Window

Records = Sequence[RequestRecord]


def summarise(
    result: LoadResult,
    arrivals: Arrivals,
    slos: Sequence[Slo],
    window: Window | None = None,
    *,
    lead_s: float = 0.0,
) -> LoadSummary:
    """Return a load point in figures.

    Args:
        result: what the load generator brought back, warm-up not among it.
        arrivals: how its requests arrived.
        slos: what it is held against; a request counts towards goodput when it met each limit by itself.
        window: the part that latencies and rates are taken from; the whole without it.
        lead_s: other work before a session's first call (`tuner.metrics.sessions.lead_of`), which no record holds.
    """
    records = _counted(result)
    done = [record for record in records if record.outcome is Outcome.OK]
    steady = _within(records, window)
    measured = [record for record in steady if record.outcome is Outcome.OK]
    figures = _figures(result, measured, records, arrivals)
    broken = violations(figures, slos)
    rates = _rates(result, done, slos, window)
    users_mean, users_max = _users(result.records, arrivals)
    return LoadSummary(
        completed=len(done),
        failed=len(records) - len(done),
        failure_rate=figures.failure_rate,
        offered_rps=arrivals.offered_rps,
        achieved_rps=rates.requests,
        output_tokens_per_s=rates.output_tokens,
        input_tokens_per_s=rates.input_tokens,
        goodput_rps=rates.good_requests,
        users_mean=users_mean,
        users_max=users_max,
        ttft=figures.ttft,
        tpot=figures.tpot,
        itl=figures.itl,
        e2e=figures.e2e,
        ttft_from_send=distribution(ttft_from_send(measured)),
        tokens_per_event=_tokens_per_event(measured),
        queue_growing=figures.queue_growing,
        slo_met=not broken,
        slo_violations=broken,
        errors=dict(Counter(str(record.outcome) for record in records if record.outcome is not Outcome.OK)),
        given_up=result.given_up,
        invalid=invalid_reasons(result, arrivals),
        sessions=session_figures(records, lead_s=lead_s),
        steps=step_figures(steady),
    )


def _counted(result: LoadResult) -> Records:
    """Return the requests that say something of the server: those a given-up load point cancelled do not."""
    if not result.given_up:
        return result.records
    return [record for record in result.records if record.outcome is not Outcome.CANCELLED]


def _within(records: Records, window: Window | None) -> Records:
    """Return the requests meant to start within the window."""
    if window is None:
        return records
    held = window.holds(np.array([record.scheduled_at for record in records]))
    return [record for record, inside in zip(records, held.tolist(), strict=True) if inside]


def _figures(result: LoadResult, measured: Records, records: Records, arrivals: Arrivals) -> Figures:
    failed = sum(record.outcome is not Outcome.OK for record in records)
    return Figures(
        ttft=distribution(ttft(measured)),
        tpot=distribution(tpot(measured)),
        itl=distribution(itl(measured)),
        e2e=distribution(e2e(measured)),
        failure_rate=failed / len(records) if records else 1.0,
        queue_growing=queue_growing(records, arrivals),
        given_up=result.given_up,
    )


def meets_each_limit(records: Records | Columns, slos: Sequence[Slo]) -> NDArray[np.bool_]:
    """Return for each request whether it met every SLO's limit by itself, shape (requests,).

    A latency that a request does not have (a TPOT of a single token) breaks no limit.
    """
    met = np.ones(len(records), dtype=np.bool_)
    for slo in slos:
        met &= ~(of_request(slo.latency, records) > slo.limit)
    return met


class _Rates(NamedTuple):
    """What ended, per second."""

    requests: float
    output_tokens: float
    input_tokens: float
    good_requests: float


def _rates(result: LoadResult, done: Records, slos: Sequence[Slo], window: Window | None) -> _Rates:
    ended, seconds = _ended(np.array([record.finished_at for record in done]), result.duration, window)
    return _Rates(
        requests=float(ended.sum()) / seconds,
        output_tokens=float(np.array([record.output_tokens for record in done])[ended].sum()) / seconds,
        input_tokens=float(np.array([record.input_tokens for record in done])[ended].sum()) / seconds,
        good_requests=float(meets_each_limit(done, slos)[ended].sum()) / seconds,
    )


def goodput(columns: Columns, slos: Sequence[Slo], duration: float, window: Window | None = None) -> float:
    """Return the requests per second that met every SLO's limit, as `summarise` counts them."""
    done = columns.ok
    ended, seconds = _ended(columns.finished_at[done], duration, window)
    return float(meets_each_limit(columns, slos)[done][ended].sum()) / seconds


def _ended(ends: NDArray[np.float64], duration: float, window: Window | None) -> tuple[NDArray[np.bool_], float]:
    """Return what counts for rates, and its time: what ended within the window; everything where nothing did."""
    if window is not None:
        ended = (ends > window.start) & (ends <= window.end)
        if ended.any():
            return ended, window.end - window.start
    return np.ones(len(ends), dtype=np.bool_), max(duration, 1e-9)


def _users(records: Records, arrivals: Arrivals) -> tuple[float, int]:
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


def _tokens_per_event(done: Records) -> float:
    events = sum(len(record.event_times) for record in done)
    return sum(record.output_tokens for record in done) / events if events else 0.0
