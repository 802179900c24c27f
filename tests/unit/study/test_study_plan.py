"""How long a study takes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.builders import BEGAN, make_point, make_spec, make_trial
from tests.fakes.plans import make_device, make_plan
from tuner.domain.device import Device
from tuner.domain.measurement import Capacity
from tuner.domain.plan import Plan, Range
from tuner.domain.study import StudySpec
from tuner.domain.trial import Launch, Trial, TrialState
from tuner.study.study_plan import StudyPlan, gpus_of, study_plan

NOW = datetime(2026, 1, 2, 6, 0, tzinfo=UTC)
CPU = make_device(name="cpu", vendor="cpu", capability=None)


def course(
    spec: StudySpec,
    trials: tuple[Trial, ...] = (),
    *,
    plan: Plan | None = None,
    device: Device | None = None,
    calls: float = 1,
) -> StudyPlan:
    return study_plan(spec, plan or make_plan(), device or make_device(), trials, calls=calls, now=NOW)


def launched(number: int, ready_after: float | None, **changes: Any) -> Trial:
    launch = Launch(
        id=number, trial_id=number + 1, attempt=1, argv=(), log_path="", started_at=BEGAN, ready_after=ready_after
    )
    return make_trial(number, points=(make_point(index=0), make_point(index=1)), launches=(launch,), **changes)


def test_a_start_up_is_expected_by_engine_weights_and_compilation():
    expected = course(make_spec()).start_up_s
    assert expected.basis == "expected"
    assert expected.value == pytest.approx(35 + 3e9 / 1.5e9 + 45)
    assert "2 s for the weights" in expected.why


def test_without_compilation_or_weights_it_is_quicker_and_a_cpu_has_its_own_figures():
    eager = course(make_spec(engine={"flags": {"enforce-eager": True}})).start_up_s.value
    dummy = course(make_spec(engine={"flags": {"enforce-eager": True, "load-format": "dummy"}})).start_up_s.value
    on_cpu = course(make_spec(engine={"flags": {"enforce-eager": True, "load-format": "dummy"}}), device=CPU)
    assert eager == pytest.approx(37)
    assert dummy == pytest.approx(35)
    assert on_cpu.start_up_s.value == pytest.approx(32)


def test_stored_launches_and_trials_take_the_place_of_expectations():
    trials = (launched(0, 20.0), launched(1, 40.0), launched(2, None, state=TrialState.FAILED))
    found = course(make_spec(budget={"trials": 5}), trials)
    assert {each.basis for each in (found.start_up_s, found.load_s, found.trial_s)} == {"measured"}
    assert found.start_up_s.value == 30.0
    assert found.load_s.value == 100.0
    assert found.trial_s.value == 60.0
    assert found.done == 3
    assert found.launches is not None
    assert (found.launches.value, found.launches.basis) == (2, "measured")


def test_a_budget_of_trials_makes_the_time_and_the_gpu_hours():
    found = course(make_spec(budget={"trials": 10}, engine={"gpus": [0, 1]}))
    assert found.ends_by == "trials"
    assert found.seconds is not None
    assert found.seconds.value == pytest.approx(10 * found.trial_s.value)
    assert found.gpu_hours is not None
    assert found.gpu_hours.value == pytest.approx(2 * found.seconds.value / 3600)


@pytest.mark.parametrize(
    ("budget", "bound", "seconds"),
    [
        ({"hours": 2.0}, "hours", 7200),
        ({"until": "08:30"}, "until", 9000),
        ({"hours": 2.0, "until": "08:30"}, "hours", 7200),
        ({"hours": 3.0, "until": "08:30", "trials": 10_000}, "until", 9000),
    ],
)
def test_a_bound_in_time_holds_as_many_whole_trials_as_fit(budget: dict[str, Any], bound: str, seconds: float):
    found = course(make_spec(budget=budget))
    assert found.ends_by == bound
    assert found.launches is not None
    assert found.launches.value == seconds // found.trial_s.value


def test_hours_are_those_of_all_sessions():
    spent = (make_trial(0, ended_at=BEGAN + timedelta(hours=1.5)),)
    found = course(make_spec(budget={"hours": 2.0}), spent)
    assert found.launches is not None
    assert found.launches.value == 0  # half an hour is left, a trial takes an hour and a half


def test_a_small_space_is_measured_whole_before_the_budget_ends():
    space = {"parameters": {"max-num-seqs": {"type": "categorical", "choices": [8, 16, 32]}}}
    found = course(make_spec(search_space=space, budget={"trials": 60}, candidates=["--max-num-seqs 64"]))
    assert found.ends_by == "search_space"
    assert found.configurations == 3
    assert found.launches is not None
    assert found.launches.value == 5


def test_without_a_budget_there_is_no_end():
    found = course(make_spec())
    assert found.ends_by == "nothing"
    assert (found.launches, found.seconds, found.gpu_hours) == (None, None, None)
    assert any("no budget" in text for text in found.no_time_for)


def test_the_load_takes_the_requests_of_a_search_or_the_time_budget():
    wide = make_spec(target_rps=10.0)
    assert course(wide).load_s.value == pytest.approx(15_000 / 40)  # within the range that is searched
    narrow = make_spec(target_rps=10.0, load={"time_budget": "2min"})
    assert course(narrow).load_s.value == 120
    coarse = make_spec(target_rps=10.0, load={"tolerance": 0.1})
    assert course(coarse).load_s.value == pytest.approx(15_000 / 4 / 40)


def test_where_the_highest_rate_is_expected_to_hold_the_search_is_a_climb():
    found = course(make_spec(target_rps=10.0), plan=make_plan(expected_rps=Range(low=100, high=300)))
    assert found.load_s.value == 60 + 30 + 30
    chained = course(make_spec(target_rps=10.0), plan=make_plan(expected_rps=Range(low=100, high=300)), calls=5.0)
    assert chained.load_s.value > 200, "a request of five calls is worth five"


def test_measured_capacities_say_how_narrow_an_interval_can_become():
    spec = make_spec(target_rps=2.0, budget={"trials": 60})
    assert any("±9% at best" in text for text in course(spec, plan=make_plan(expected_rps=None)).no_time_for)
    quick = (launched(0, 20.0, capacity=Capacity(rps=40.0, upper_rps=45.0)),)
    assert not any("at best" in text for text in course(spec, quick, plan=make_plan(expected_rps=None)).no_time_for)


def test_closed_loop_points_are_added():
    plain = course(make_spec(target_rps=10.0)).load_s.value
    closed = course(make_spec(target_rps=10.0, load={"concurrency": [8, 100]})).load_s.value
    assert closed == pytest.approx(plain + (100 + 400) / 40)


@pytest.mark.parametrize(
    ("changes", "gpus"),
    [
        ({}, 1),
        ({"engine": {"gpus": [0, 1, 2]}}, 3),
        ({"engine": {"flags": {"tensor-parallel-size": 2, "pipeline-parallel-size": 2}}}, 4),
        ({"search_space": {"parameters": {"tensor-parallel-size": {"type": "categorical", "choices": [1, 2, 4]}}}}, 4),
        ({"search_space": {"parameters": {"tensor-parallel-size": {"type": "int", "low": 1, "high": 2}}}}, 2),
        ({"candidates": ["--tensor-parallel-size 8"]}, 8),
    ],
)
def test_the_largest_replica_counts(changes: dict[str, Any], gpus: int):
    assert gpus_of(make_spec(**changes)) == gpus


def test_a_cpu_costs_no_gpu_hours():
    found = course(make_spec(budget={"hours": 1.0}), device=CPU)
    assert found.gpus == 0
    assert found.gpu_hours is not None
    assert found.gpu_hours.value == 0
