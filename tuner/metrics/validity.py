"""Owns the question whether a load point's figures are the server's, or the client's own. Judges no SLO.

A client that runs out of CPU, wakes up late or falls behind its schedule measures itself. Each rule has an absolute
floor, below which an error is too small to matter, and a share of what was measured, above which it matters:

- *CPU*: the event loop has one core; above 90 % of it, events queue in the client.
- *Error*: an event waits `loop_lag` before its time is read (`tuner.load.health`). More than 2 ms and 5 % of the median
  TTFT on average, or 10 ms and 10 % of it at p99, is too much.
- *Schedule*: under open loop, a span of sending more than 2 % longer than the schedule's is another load than the one
  asked for, and so are more than 2 % of requests that were due and not sent. Sends later than 10 ms and 5 % of the
  median TTFT at p99 are in the TTFT, which counts from the schedule.
"""

from collections.abc import Iterator

import numpy as np

from tuner.domain.arrivals import Arrivals, ClosedLoop
from tuner.domain.load import LoadResult, Outcome
from tuner.domain.units import format_ms
from tuner.metrics.latency import ttft

_CPU_SHARE = 0.9
_LAG_MEAN, _LAG_MEAN_SHARE = 0.002, 0.05
_LAG_P99, _LAG_P99_SHARE = 0.010, 0.10
_LATE_P99, _LATE_P99_SHARE = 0.010, 0.05
_SCHEDULE_SHARE = 0.02
_SPAN_FLOOR = 0.010
"""Seconds: a short schedule is not called stretched for a single late send."""


def invalid_reasons(result: LoadResult, arrivals: Arrivals) -> tuple[str, ...]:
    """Return why the figures are the client's, in words with figures; empty for a valid load point."""
    found = [*_overloaded(result)]
    if not isinstance(arrivals, ClosedLoop):
        found += _off_schedule(result)
    return tuple(found)


def _overloaded(result: LoadResult) -> Iterator[str]:
    client, typical = result.client, _median_ttft(result)
    if client.cpu_share > _CPU_SHARE:
        yield f"the client used {client.cpu_share:.0%} of a core"
    if client.loop_lag_mean > max(_LAG_MEAN, _LAG_MEAN_SHARE * typical):
        yield f"the client noticed events {format_ms(client.loop_lag_mean)} late on average"
    elif client.loop_lag_p99 > max(_LAG_P99, _LAG_P99_SHARE * typical):
        yield f"the client noticed events {format_ms(client.loop_lag_p99)} late at p99"


def _off_schedule(result: LoadResult) -> Iterator[str]:
    scheduled = np.array([record.scheduled_at for record in result.records])
    sent = np.array([record.sent_at for record in result.records])
    known = ~np.isnan(sent) & ~np.isnan(scheduled)
    due = np.array(
        [each.outcome is Outcome.CANCELLED and each.scheduled_at <= each.finished_at for each in result.records],
        dtype=np.bool_,
    )
    if known.any():
        planned, real = np.ptp(scheduled[known]), np.ptp(sent[known])
        if real - planned > max(_SPAN_FLOOR, _SCHEDULE_SHARE * planned):
            yield f"the client took {real:.2f} s to send a schedule of {planned:.2f} s"
    missing = int((np.isnan(sent) & due).sum())
    if missing > _SCHEDULE_SHARE * len(result.records):
        yield f"the client did not send {missing} of {len(result.records)} requests that were due"
    if result.client.lateness_p99 > max(_LATE_P99, _LATE_P99_SHARE * _median_ttft(result)):
        yield f"requests left {format_ms(result.client.lateness_p99)} late at p99"


def _median_ttft(result: LoadResult) -> float:
    known = ttft([record for record in result.records if record.event_times])
    return float(np.median(known)) if known.size else 0.0
