"""Trials at a glance: the same as what the trials say that are read whole."""

from collections.abc import Callable
from typing import Any, Protocol

import pytest

from tuner.analysis.figures import overview
from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.domain.errors import InputError
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.telemetry import GpuFigures, MachineFigures
from tuner.domain.trial import Provenance, Purpose, TrialRole, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.store.writer import Store

NAMES = ("ttft_p95", "tpot_p50", "goodput_rps", "e2e_p90", "ttft_count", "users_mean", "itl_mean")
KNOWN = tuple(name for name in NAMES if not name.endswith("count"))
CAPACITY = Capacity(rps=4.0, lower_rps=3.5, upper_rps=4.5, limited_by="ttft_p95")
MakePoint = Callable[..., LoadPoint]


class Night(Protocol):
    store: Store

    def trial(self, number: int, role: TrialRole = ...) -> int: ...
    def launch(self, trial_id: int, attempt: int = ...) -> int: ...


def save(night: Night, trial_id: int, launch_id: int, *points: LoadPoint) -> None:
    for point in points:
        night.store.save_load_point(trial_id, launch_id, point, (), ())


def at(make_point: MakePoint, index: int, rate: float, **changes: Any) -> LoadPoint:
    point = make_point(index, PoissonArrivals(rate=rate))
    return point.model_copy(update={"summary": point.summary.model_copy(update=changes)})


@pytest.fixture
def filled(night: Night, make_point: MakePoint, now: Any) -> Night:
    """Trials with everything that decides which load point speaks: attempts, purposes, users, invalid points."""
    store = night.store
    measured = night.trial(0, TrialRole.BASELINE)
    first = night.launch(measured)
    save(night, measured, first, at(make_point, 0, 2.5, goodput_rps=0.1))
    second = night.launch(measured, attempt=2)
    save(
        night,
        measured,
        second,
        make_point(1, ClosedLoop(concurrency=8)),
        at(make_point, 2, 2.5, invalid=("late",)),
        at(make_point, 3, 6.0, goodput_rps=5.5),
        at(make_point, 4, 4.0, goodput_rps=3.9, slo_met=True, slo_violations=()),
    )
    again = store.begin_launch(
        measured, 3, purpose=Purpose.DRIFT, argv=(), log_path="", started_at=now, provenance=Provenance()
    )
    save(night, measured, again, at(make_point, 5, 2.5, goodput_rps=2.2))
    store.finish_trial(measured, TrialState.MEASURED, ended_at=now, capacity=CAPACITY)
    below = night.trial(1)
    save(night, below, night.launch(below), at(make_point, 0, 1.0), at(make_point, 1, 2.0))
    store.finish_trial(below, TrialState.MEASURED, ended_at=now, capacity=CAPACITY)
    crashed = night.trial(2)
    store.finish_trial(
        crashed, TrialState.FAILED, ended_at=now, failure=Failure(kind=FailureKind.OOM_START, evidence="out of memory")
    )
    same = night.trial(3)
    store.finish_trial(same, TrialState.DUPLICATE, ended_at=now, duplicate_of=1)
    users = night.trial(4)
    save(night, users, night.launch(users), make_point(0, ClosedLoop(concurrency=8)))
    return night


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("rate", [0.5, 2.0, 2.5, 3.0, 5.0, 9.0])
def test_they_are_those_of_the_trials_read_whole(location: DatabaseLocation, rate: float):
    with open_reader(location) as reader:
        found = reader.overviews(7, rate, KNOWN)
        whole = tuple(overview(trial, rate, KNOWN) for trial in reader.trials(7))
    assert found == whole
    assert [one.at_rate is not None for one in found] == [True, True, False, False, False]


@pytest.mark.usefixtures("filled")
def test_a_later_launch_and_an_earlier_attempt_do_not_speak(location: DatabaseLocation):
    with open_reader(location) as reader:
        (first, *_) = reader.overviews(7, 2.5, NAMES)
    assert first.at_rate is not None
    assert (first.at_rate.rate, first.at_rate.slo_met, first.at_rate.figures["goodput_rps"]) == (4.0, True, 3.9)
    assert first.at_rate.figures["ttft_count"] == 90
    assert first.again == {Purpose.DRIFT}


@pytest.mark.usefixtures("filled")
def test_a_study_without_trials_has_none(location: DatabaseLocation):
    with open_reader(location) as reader:
        assert reader.overviews(8, 2.5, NAMES) == ()


@pytest.mark.usefixtures("filled")
def test_states_are_counted(location: DatabaseLocation):
    with open_reader(location) as reader:
        states = reader.states(7)
    assert states == {
        TrialState.MEASURED: 2, TrialState.FAILED: 1, TrialState.DUPLICATE: 1, TrialState.RUNNING: 1,
    }  # fmt: skip


@pytest.mark.usefixtures("filled")
def test_trials_can_be_asked_for_by_number(location: DatabaseLocation):
    with open_reader(location) as reader:
        everyone = reader.trials(7)
        assert reader.trials(7, numbers=[3, 0, 99]) == (everyone[0], everyone[3])
        assert reader.trials(7, numbers=[]) == ()


def test_a_sign_of_heat_is_told(night: Night, make_point: MakePoint, location: DatabaseLocation):
    trial_id = night.trial(0)
    hot = MachineFigures(samples=9, gpus=(GpuFigures(index=0, throttled={"sw_thermal_slowdown": 0.5}),))
    save(night, trial_id, night.launch(trial_id), make_point(0).model_copy(update={"machine": hot}))
    night.trial(1)
    with open_reader(location) as reader:
        assert [one.throttled for one in reader.overviews(7, 2.5, NAMES)] == [True, False]


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE tuner_load_points SET ttft_p95 = 'fast'",
        "UPDATE tuner_load_points SET rate = 'twice' WHERE rate IS NOT NULL",
        "UPDATE tuner_trials SET flags = '[1]'",
        "UPDATE tuner_trials SET resolved = '{'",
        """UPDATE tuner_trials SET capacity = '{"rps": "much"}'""",
    ],
)
def test_what_is_no_figure_is_refused(filled: Night, location: DatabaseLocation, harm: str):
    with filled.store.engine.begin() as connection:
        connection.exec_driver_sql(harm)
    with open_reader(location) as reader, pytest.raises(InputError, match="does not understand"):
        reader.overviews(7, 2.5, NAMES)
