"""The capacity search, driven by a simulated queue in virtual time; and the line through eight points beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tests.benchmarks.capacity.queue import SlotQueue
from tuner.domain.arrivals import PoissonArrivals
from tuner.domain.load import ClientHealth, GiveUp, LoadResult, Outcome, RequestRecord
from tuner.domain.measurement import Capacity
from tuner.domain.slo import Slo
from tuner.domain.study import LoadPlan
from tuner.metrics.capacity import capacity
from tuner.metrics.evidence import Measured, evidence
from tuner.metrics.search import next_probe

PERFECT = ClientHealth(cpu_s=0.0, cpu_share=0.0, lateness_p99=0.0, loop_lag_max=0.0)
EIGHT = tuple(np.linspace(0.66, 0.86, 8).tolist())
"""The baseline's rates, as shares of slots over service time: chosen around a crossing that the search has to find."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search found, and what it cost."""

    capacity: Capacity
    requests: int
    """Sent, those of given-up points counted up to their end."""
    seconds: float
    """Virtual."""
    points: int


def search(queue: SlotQueue, plan: LoadPlan, slos: Sequence[Slo], target_rps: float, seed: int) -> Searched:
    """Return what the search finds; the SLOs must be of TTFT."""
    measured: list[Measured] = []
    sent, spent = 0, 0.0
    while (probe := next_probe(plan, slos, target_rps, measured, spent)) is not None:
        records = queue.records(probe.rate, probe.requests, seed * 1000 + len(measured))
        result = given_up(records, probe.give_up)
        measured.append(
            evidence(result, PoissonArrivals(rate=probe.rate), slos, requests=probe.requests, seconds=result.duration)
        )
        sent += len(result.records)
        spent += result.duration
    return Searched(capacity(plan, slos, target_rps, measured), sent, spent, len(measured))


def given_up(records: Sequence[RequestRecord], rules: Sequence[GiveUp]) -> LoadResult:
    """Return what the client brings back: all, or what there was when the first rule for TTFT applied."""
    ends = [end for rule in rules if (end := _end(records, rule)) is not None]
    if not ends:
        return LoadResult(0.0, max(record.finished_at for record in records), tuple(records), PERFECT)
    seen = tuple(_cut(record, min(ends)) for record in records if record.scheduled_at <= min(ends))
    return LoadResult(0.0, min(ends), seen, PERFECT, "hopeless")


def _end(records: Sequence[RequestRecord], rule: GiveUp) -> float | None:
    late = sorted(
        one.scheduled_at + rule.limit for one in records if one.event_times[0] - one.scheduled_at > rule.limit
    )
    return late[rule.requests - 1] + rule.limit if len(late) >= rule.requests else None


def _cut(record: RequestRecord, end: float) -> RequestRecord:
    if record.finished_at <= end:
        return record
    events = tuple(time for time in record.event_times if time <= end)
    return replace(record, event_times=events, finished_at=end, outcome=Outcome.CANCELLED)


def line_through_eight(queue: SlotQueue, limit_s: float, quantile: float, requests: int, seed: int) -> float:
    """Return where a straight line through eight measured percentiles, in logarithms, meets the limit."""
    rates = np.array(EIGHT) * queue.ceiling
    draws = [np.random.default_rng(seed * 1000 + number) for number in range(rates.size)]
    found = [
        float(np.quantile(queue.ttft(rate, requests, draw)[1], quantile))
        for rate, draw in zip(rates, draws, strict=True)
    ]
    slope, height = np.polyfit(rates, np.log(np.array(found) / limit_s), 1)
    return float(-height / slope)
