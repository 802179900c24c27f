import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import Protocol

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.load import RequestRecord
from tuner.domain.measurement import Capacity, LoadPoint, Scrape
from tuner.domain.study import Budget, StudySpec
from tuner.domain.trial import Provenance, TrialRole, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.store.writer import Store

OOM = Failure(kind=FailureKind.OOM_START, evidence="CUDA out of memory", advice="Lower max-num-seqs.")


class Night(Protocol):
    store: Store

    def trial(self, number: int, role: TrialRole = ...) -> int: ...
    def launch(self, trial_id: int, attempt: int = ...) -> int: ...


def sql(location: DatabaseLocation, query: str) -> list[tuple[object, ...]]:
    assert location.path
    with closing(sqlite3.connect(location.path)) as connection:
        return connection.execute(query).fetchall()


def test_a_study_comes_back_as_it_was(night: Night, spec: StudySpec, now: datetime):
    study = night.store.study("night")
    assert study
    assert (study.id, study.name, study.spec, study.created_at) == (7, "night", spec, now)
    assert study.provenance == Provenance(device="H100", device_count=1)
    assert list(study.spec.search_space.parameters) == list(spec.search_space.parameters)
    assert night.store.study("day") is None


def test_a_study_of_the_same_name_is_refused_with_the_way_on(night: Night, spec: StudySpec, now: datetime):
    with pytest.raises(InputError, match="tuner resume night"):
        night.store.create_study(8, spec, Provenance(), now)


def test_a_spec_is_replaced_with_the_columns_that_follow_from_it(
    night: Night, spec: StudySpec, location: DatabaseLocation
):
    longer = spec.model_copy(update={"budget": Budget(trials=99), "target_rps": 5.0})
    night.store.update_spec(7, longer)
    study = night.store.study("night")
    assert study
    assert study.spec == longer
    assert sql(location, "SELECT target_rps, workload_id, slo_id FROM tuner_studies") == [
        (5.0, spec.workload.identity, spec.slo_identity)
    ]


def test_a_measured_trial_is_stored_with_its_scalars_as_columns(
    night: Night, location: DatabaseLocation, now: datetime, make_point: Callable[..., LoadPoint]
):
    trial_id = night.trial(0)
    night.store.save_load_point(trial_id, night.launch(trial_id), make_point(), (), ())
    night.store.finish_trial(
        trial_id,
        TrialState.MEASURED,
        ended_at=now,
        capacity=Capacity(rps=4.0, upper_rps=5.0),
        values={"capacity_rps": 4.0},
    )
    assert sql(
        location, "SELECT state, capacity_rps, capacity_upper_rps, flags ->> 'max-num-seqs' FROM tuner_trials"
    ) == [("measured", 4.0, 5.0, 1)]
    assert sql(location, "SELECT kind, rate, concurrency, ttft_p95, ttft_p99, slo_met FROM tuner_load_points") == [
        ("poisson", 2.5, None, pytest.approx(0.26), None, 0)
    ]


def test_raw_data_and_load_point_are_stored_together_or_not_at_all(
    night: Night,
    location: DatabaseLocation,
    make_point: Callable[..., LoadPoint],
    records: Sequence[RequestRecord],
):
    trial_id = night.trial(0)
    launch_id = night.launch(trial_id)
    with night.store.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER fail BEFORE INSERT ON tuner_scrapes BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(IntegrityError):
        night.store.save_load_point(trial_id, launch_id, make_point(), records, (Scrape(at=0.0),))
    assert sql(location, "SELECT count(*) FROM tuner_load_points") == [(0,)]
    assert sql(location, "SELECT count(*) FROM tuner_request_records") == [(0,)]


@pytest.mark.parametrize(
    "figures",
    [{"capacity": Capacity(rps=4.0, upper_rps=None)}, {"values": {"capacity_rps": 4.0}}],
    ids=["capacity", "values"],
)
@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.MEASURED])
def test_a_crash_can_not_be_stored_as_a_number(
    night: Night, now: datetime, figures: dict[str, object], state: TrialState
):
    trial_id = night.trial(0)
    with pytest.raises(IntegrityError):
        night.store.finish_trial(trial_id, state, ended_at=now, failure=OOM, **figures)  # pyright: ignore[reportArgumentType]  # one of two keywords


def test_a_failed_trial_keeps_its_proof(night: Night, location: DatabaseLocation, now: datetime):
    trial_id = night.trial(0)
    launch_id = night.launch(trial_id)
    night.store.end_launch(launch_id, now, -9, OOM, {"kv_cache_tokens": 2048})
    night.store.finish_trial(trial_id, TrialState.FAILED, ended_at=now, failure=OOM)
    with open_reader(location) as reader:
        trial = reader.trial(7, 0)
    assert trial
    assert (trial.state, trial.failure, trial.capacity, trial.values) == (TrialState.FAILED, OOM, None, {})
    (launch,) = trial.launches
    assert (launch.exit_code, launch.failure, launch.resolved) == (-9, OOM, {"kv_cache_tokens": 2048})


def test_a_duplicate_names_its_original_and_what_it_resolved_to(
    night: Night, location: DatabaseLocation, now: datetime
):
    trial_id = night.trial(1)
    night.store.finish_trial(
        trial_id, TrialState.DUPLICATE, ended_at=now, duplicate_of=0, resolved={"max-num-seqs": 128}, fingerprint="f0"
    )
    with open_reader(location) as reader:
        trial = reader.trial(7, 1)
    assert trial
    assert (trial.duplicate_of, trial.resolved, trial.fingerprint) == (0, {"max-num-seqs": 128}, "f0")


def test_what_is_not_given_at_the_end_stays_as_it_began(night: Night, location: DatabaseLocation, now: datetime):
    night.store.finish_trial(night.trial(1), TrialState.MEASURED, ended_at=now)
    with open_reader(location) as reader:
        trial = reader.trial(7, 1)
    assert trial
    assert (trial.resolved, trial.fingerprint) == ({"max-num-seqs": 2, "seed": None}, "f1")


def test_trials_left_running_are_closed_as_interrupted(night: Night, location: DatabaseLocation, now: datetime):
    night.store.finish_trial(night.trial(0), TrialState.MEASURED, ended_at=now)
    closed_launch, open_launch = night.launch(night.trial(1)), night.launch(night.trial(2))
    night.store.end_launch(closed_launch, now, 0, None, {})
    later = now + timedelta(hours=1)
    assert night.store.interrupt_running(7, later) == [101, 102]
    assert night.store.interrupt_running(7, later) == []
    with open_reader(location) as reader:
        trials = reader.trials(7)
    assert [trial.state for trial in trials] == [TrialState.MEASURED, TrialState.INTERRUPTED, TrialState.INTERRUPTED]
    assert [trial.failure and trial.failure.kind for trial in trials] == [None, *[FailureKind.INTERRUPTED] * 2]
    assert [launch.ended_at for trial in trials for launch in trial.launches] == [now, later]
    assert open_launch == trials[2].launches[0].id


def test_one_number_of_a_study_is_one_trial(night: Night, now: datetime):
    night.trial(0)
    with pytest.raises(IntegrityError):
        night.store.begin_trial(
            999, 7, 0, role=TrialRole.SAMPLED, flags={}, resolved={}, fingerprint="", started_at=now
        )


def test_a_row_of_nobody_is_refused(night: Night, now: datetime):
    with pytest.raises(IntegrityError):
        night.launch(555)
    with pytest.raises(LookupError, match="tuner_trials has no trial_id 555"):
        night.store.finish_trial(555, TrialState.MEASURED, ended_at=now)
    with pytest.raises(LookupError, match="tuner_launches has no launch_id 5"):
        night.store.launch_ready(5, 1.0)


def test_deleting_a_study_takes_all_that_belongs_to_it(
    night: Night,
    location: DatabaseLocation,
    make_point: Callable[..., LoadPoint],
    records: Sequence[RequestRecord],
):
    trial_id = night.trial(0)
    night.store.save_load_point(trial_id, night.launch(trial_id), make_point(), records, (Scrape(at=0.0),))
    with night.store.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM tuner_studies"))
    for table in ("trials", "launches", "load_points", "request_records", "scrapes"):
        assert sql(location, f"SELECT count(*) FROM tuner_{table}") == [(0,)]  # noqa: S608  # names from above


def test_a_file_that_vanished_is_an_error_of_the_surroundings(night: Night, location: DatabaseLocation):
    assert location.path
    location.path.unlink()
    with pytest.raises(SurroundingsError, match="unable to open database file"):
        night.trial(0)
    assert not location.path.exists()
