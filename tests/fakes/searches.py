"""Whole searches for a capacity on a simulated queue, with every load point and record kept as the tuner keeps them."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tests.benchmarks.capacity.queue import SlotQueue
from tests.benchmarks.capacity.simulation import given_up
from tuner.domain.arrivals import PoissonArrivals
from tuner.domain.load import LoadResult, RequestRecord
from tuner.domain.measurement import Capacity, LoadPoint, ServerFigures
from tuner.domain.slo import Slo
from tuner.domain.study import LoadPlan
from tuner.domain.trial import Launch, Purpose, Trial, TrialRole, TrialState
from tuner.metrics.capacity import capacity
from tuner.metrics.evidence import Measured, evidence
from tuner.metrics.search import Probe, next_probe
from tuner.metrics.summary import summarise
from tuner.metrics.windows import steady_window
from tuner.store.records_codec import RecordColumns, decode_columns, encode_records

BEGAN = datetime(2026, 1, 1, 18, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SearchedTrial:
    """A trial as the store gives it back, and the records of its load points by index."""

    trial: Trial
    records: dict[int, tuple[RequestRecord, ...]]

    def record_columns(self, trial_ids: Sequence[int]) -> Generator[tuple[int, int, RecordColumns]]:
        """Stand in for the result file's reader."""
        if self.trial.id in trial_ids:
            for index, records in sorted(self.records.items()):
                yield self.trial.id, index, decode_columns(encode_records(records))


def search(queue: SlotQueue, plan: LoadPlan, slos: Sequence[Slo], target_rps: float, seed: int = 0) -> SearchedTrial:
    """Return the trial that a search of a queue leaves; its SLOs must be of TTFT."""
    measured: list[Measured] = []
    points: list[LoadPoint] = []
    records: dict[int, tuple[RequestRecord, ...]] = {}
    while (probe := next_probe(plan, slos, target_rps, measured, sum(one.seconds for one in measured))) is not None:
        result = loaded(queue, probe, seed * 1000 + len(points))
        point = load_point(result, probe, len(points), slos)
        measured.append(
            evidence(result, point.arrivals, slos, requests=probe.requests, seconds=result.duration, valid=True)
        )
        points.append(point)
        records[point.index] = result.records
    return SearchedTrial(_trial(capacity(plan, slos, target_rps, measured), points), records)


def loaded(queue: SlotQueue, probe: Probe, seed: int) -> LoadResult:
    """Return what the client brings back of a load point, its times in whole microseconds."""
    result = given_up(queue.records(probe.rate, probe.requests, seed), probe.give_up)
    return replace(result, records=tuple(map(_rounded, result.records)))


def load_point(result: LoadResult, probe: Probe, index: int, slos: Sequence[Slo], *, attempt: int = 1) -> LoadPoint:
    """Return a load point in figures."""
    arrivals = PoissonArrivals(rate=probe.rate)
    window = None if result.given_up else steady_window(result.records, arrivals)
    return LoadPoint(
        index=index,
        attempt=attempt,
        arrivals=arrivals,
        requests=probe.requests,
        seed=index,
        started_at=BEGAN,
        duration=result.duration,
        summary=summarise(result, arrivals, slos, window),
        server=ServerFigures(),
        client=result.client,
    )


def launch(attempt: int, purpose: Purpose, found: Capacity | None) -> Launch:
    """Return a launch that brought a capacity."""
    return Launch(
        id=attempt, trial_id=1, attempt=attempt, purpose=purpose, argv=(), log_path="log", started_at=BEGAN,
        capacity=found,
    )  # fmt: skip


def _trial(found: Capacity, points: Sequence[LoadPoint]) -> Trial:
    return Trial(
        id=1,
        number=0,
        role=TrialRole.BASELINE,
        state=TrialState.MEASURED,
        flags={},
        capacity=found,
        values={"capacity_rps": found.rps},
        load_points=tuple(points),
        launches=(launch(1, Purpose.MEASURE, found),),
    )


def _rounded(record: RequestRecord) -> RequestRecord:
    return replace(
        record,
        scheduled_at=round(record.scheduled_at, 6),
        sent_at=round(record.sent_at, 6),
        event_times=tuple(round(time, 6) for time in record.event_times),
        finished_at=round(record.finished_at, 6),
    )
