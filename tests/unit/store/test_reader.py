import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest
from sqlalchemy import event

from tuner.domain.arrivals import ClosedLoop
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.load import RequestRecord
from tuner.domain.measurement import LoadPoint, Scrape
from tuner.domain.study import StudySpec
from tuner.domain.trial import Provenance, TrialRole, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.store.writer import Store

SCRAPES = (Scrape(at=-0.5, running=0.0), Scrape(at=1.0, running=4.0, ttft_buckets={"0.1": 3.0, "+Inf": 4.0}))


class Night(Protocol):
    store: Store

    def trial(self, number: int, role: TrialRole = ...) -> int: ...
    def launch(self, trial_id: int, attempt: int = ...) -> int: ...


@pytest.fixture
def filled(night: Night, make_point: Callable[..., LoadPoint], records: Sequence[RequestRecord]) -> Night:
    """Two trials: one with two launches and two load points, one that runs."""
    trial_id = night.trial(0, TrialRole.BASELINE)
    night.launch(trial_id)
    launch_id = night.launch(trial_id, attempt=2)
    night.store.launch_ready(launch_id, 31.5)
    points = (make_point(0), make_point(1, ClosedLoop(concurrency=8)))
    for point in points:
        night.store.save_load_point(trial_id, launch_id, point, records[: point.index + 2], SCRAPES)
    night.trial(1)
    return night


@pytest.mark.usefixtures("filled")
def test_trials_come_back_whole_and_in_order(
    location: DatabaseLocation, make_point: Callable[..., LoadPoint], now: datetime
):
    with open_reader(location) as reader:
        first, second = reader.trials(7)
    assert (first.id, first.number, first.role, first.state) == (100, 0, TrialRole.BASELINE, TrialState.RUNNING)
    assert first.flags == {"max-num-seqs": 1, "kv-cache-dtype": "auto", "enforce-eager": True}
    assert [type(value) for value in first.flags.values()] == [int, str, bool]
    points = (make_point(0), make_point(1, ClosedLoop(concurrency=8)))
    assert first.load_points == tuple(point.model_copy(update={"attempt": 2}) for point in points)
    assert [(launch.attempt, launch.ready_after, launch.argv) for launch in first.launches] == [
        (1, None, ("python", "-m", "vllm")),
        (2, 31.5, ("python", "-m", "vllm")),
    ]
    assert first.launches[0].provenance.vllm_version == "0.32.0"
    assert (first.started_at, first.ended_at) == (now, None)
    assert (second.number, second.load_points, second.launches) == (1, (), ())


@pytest.mark.usefixtures("filled")
def test_load_points_can_be_left_out(location: DatabaseLocation):
    with open_reader(location) as reader:
        (first, _) = reader.trials(7, load_points=False)
    assert first.load_points == ()
    assert len(first.launches) == 2


@pytest.mark.usefixtures("filled")
def test_one_trial_is_as_in_the_list(location: DatabaseLocation):
    with open_reader(location) as reader:
        assert reader.trial(7, 0) == reader.trials(7)[0]
        assert reader.trial(7, 5) is None
        assert reader.trial(8, 0) is None
        assert reader.trials(8) == ()


@pytest.mark.usefixtures("filled")
def test_raw_data_comes_back_a_load_point_at_a_time(location: DatabaseLocation, records: Sequence[RequestRecord]):
    with open_reader(location) as reader:
        assert reader.records(100, 0) == records[:2]
        assert reader.records(100, 1) == records
        assert reader.scrapes(100, 1) == SCRAPES
        assert reader.records(100, 2) == ()
        assert reader.scrapes(101, 0) == ()


def test_pruned_raw_data_leaves_the_figures(filled: Night, location: DatabaseLocation):
    with filled.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tuner_request_records")
    with open_reader(location) as reader:
        assert reader.records(100, 0) == ()
        assert len(reader.trials(7)[0].load_points) == 2


def test_the_newest_study_is_last(night: Night, spec: StudySpec, location: DatabaseLocation, now: datetime):
    other = spec.model_copy(update={"study": "evening"})
    night.store.create_study(8, other, Provenance(), now - timedelta(hours=1))
    with open_reader(location) as reader:
        assert [study.name for study in reader.studies()] == ["evening", "night"]
        assert reader.study("night") == reader.studies()[1]
        assert reader.study("morning") is None


@pytest.mark.parametrize("trials", [1, 9])
def test_the_number_of_queries_does_not_grow_with_the_trials(
    night: Night, location: DatabaseLocation, make_point: Callable[..., LoadPoint], trials: int
):
    for number in range(trials):
        trial_id = night.trial(number)
        night.store.save_load_point(trial_id, night.launch(trial_id), make_point(), (), ())
    statements: list[str] = []

    def note(*arguments: Any) -> None:  # SQLAlchemy's event hands over what it has
        statements.append(arguments[2])

    with open_reader(location) as reader:
        event.listen(reader.engine, "before_cursor_execute", note)
        assert len(reader.trials(7)) == trials
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 3
    assert not any("tuner_request_records" in statement for statement in statements)


def test_a_reader_sees_what_was_committed_since_it_opened(night: Night, location: DatabaseLocation):
    with open_reader(location) as reader:
        assert reader.trials(7) == ()
        night.trial(0)
        assert len(reader.trials(7)) == 1


def test_damaged_raw_data_is_named(filled: Night, location: DatabaseLocation):
    with filled.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE tuner_request_records SET data = x'01ff'")
        connection.exec_driver_sql("UPDATE tuner_scrapes SET data = x'01ff'")
    with open_reader(location) as reader:
        with pytest.raises(SurroundingsError, match="trial id 100, load point 0: damaged request records"):
            reader.records(100, 0)
        with pytest.raises(SurroundingsError, match="trial id 100, load point 1: damaged scrapes"):
            reader.scrapes(100, 1)


def test_a_value_of_another_version_is_named(night: Night, location: DatabaseLocation, spec: StudySpec):
    unknown = json.dumps(spec.model_dump(mode="json") | {"dream": 1})
    with night.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE tuner_studies SET spec = ?", (unknown,))
    with open_reader(location) as reader, pytest.raises(InputError, match="StudySpec that this version"):
        reader.studies()


@pytest.mark.usefixtures("filled")
def test_records_come_as_columns_trial_by_trial(location: DatabaseLocation, records: Sequence[RequestRecord]):
    with open_reader(location) as reader:
        found = list(reader.record_columns([101, 100, 999]))
        assert list(reader.record_columns([])) == []
    assert [(trial_id, index) for trial_id, index, _ in found] == [(100, 0), (100, 1)]
    for _, index, columns in found:
        assert columns.finished_at.tolist() == [record.finished_at for record in records[: index + 2]]
