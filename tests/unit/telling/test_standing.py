"""A study's standing, folded from its events."""

import pytest

from tests.fakes.builders import make_trial
from tests.fakes.stories import BASELINE, BETTER, BUSY, FAILED, NIGHT, OOM, launch, measured, told
from tuner.domain.events import (
    Noted,
    PhaseStarted,
    Progress,
    StudyFinished,
    StudyStarted,
    TrialFinished,
    TrialRetried,
)
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.trial import TrialState
from tuner.telling.standing import Phase


def test_outcomes_failures_and_the_best_are_counted():
    standing = told(NIGHT)
    assert standing.outcomes == {TrialState.MEASURED: 2, TrialState.FAILED: 1}
    assert standing.failures == {FailureKind.GPU_BUSY: 1, FailureKind.OOM_START: 1}
    assert standing.best_found is not None
    assert (standing.best_found.number, standing.best_found.capacity) == (1, BETTER.capacity)
    assert standing.reason == "the time is up"
    assert standing.failure == OOM


def test_the_best_may_be_an_earlier_trial_again():
    assert told([*NIGHT[:-1], TrialFinished(measured(3, 5.0), best=0)]).best_found == told(NIGHT[:8]).best_found


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("start-up", Phase.STARTING),
        ("warm-up", Phase.WARMING_UP),
        ("load point 3 (8 req/s, higher)", Phase.LOADING),
        ("stop", Phase.STOPPING),
        ("waiting for process 12 to end", Phase.WAITING),
        ("thinking", Phase.OTHER),
    ],
)
def test_phases_of_a_trial_have_short_names(text: str, phase: Phase):
    assert told([PhaseStarted(0, text)]).phase is phase


def test_before_between_and_after_trials_there_are_phases_too():
    assert told([]).phase is Phase.PREPARING
    assert told(NIGHT[:8]).phase is Phase.BETWEEN
    assert told(NIGHT).phase is Phase.ENDED


def test_requests_are_those_of_the_load_point_at_work():
    loading = told([PhaseStarted(0, "load point 1 (2 req/s)"), Progress(0, 7, 100)])
    assert (loading.requests_done, loading.requests_planned) == (7, 100)
    after = loading.after(PhaseStarted(0, "stop"), 1.0)
    assert (after.requests_done, after.requests_planned) == (0, 0)


def test_a_resumed_study_stands_where_the_same_study_stood_without_a_stop():
    twice = BETTER.model_copy(update={"launches": (launch(1, failure=BUSY), launch(2))})
    history = (BASELINE, twice, FAILED)
    resumed = told([StudyStarted("night", 3, 8, 3600.0, history=history, best=1)])
    without = told(NIGHT)
    for name in ("outcomes", "failures", "found", "best", "spent_s", "ready_s", "trials_done"):
        assert getattr(resumed, name) == getattr(without, name), name
    assert resumed.failure is None


def test_a_stored_failure_that_no_launch_had_counts_once_beside_those_of_its_launches():
    failure = Failure(kind=FailureKind.LOAD_FAILED, evidence="2 % of the requests failed")
    trial = make_trial(0, state=TrialState.FAILED, failure=failure, launches=(launch(1, failure=BUSY), launch(2)))
    standing = told([StudyStarted("night", 1, None, None, history=(trial,))])
    assert standing.failures == {FailureKind.GPU_BUSY: 1, FailureKind.LOAD_FAILED: 1}


def test_a_trial_retried_to_its_end_counts_as_often_live_as_from_the_store():
    launches = (launch(1, failure=BUSY), launch(2, failure=BUSY), launch(3, failure=BUSY))
    trial = make_trial(0, state=TrialState.FAILED, failure=BUSY, launches=launches)
    live = told([TrialRetried(0, BUSY), TrialRetried(0, BUSY), TrialFinished(trial, None)])
    stored = told([StudyStarted("night", 1, None, None, history=(trial,))])
    assert live.failures == stored.failures == {FailureKind.GPU_BUSY: 3}


def test_time_left_is_the_nearer_of_clock_and_trials():
    assert told([StudyStarted("night", 0, None, 100.0)]).seconds_left(30.0) == 70.0
    assert told([StudyStarted("night", 0, 4, None)]).seconds_left(30.0) is None
    four = [StudyStarted("night", 0, 4, 1e6), TrialFinished(BASELINE, best=0)]
    assert told(four).seconds_left(30.0) == 3 * 60.0
    assert told([StudyStarted("night", 0, 4, 1.0), TrialFinished(BASELINE, best=0)]).seconds_left(30.0) == 0.0


def test_every_event_is_a_sign_of_life():
    for event in (*NIGHT, Noted("something"), StudyFinished("done", 1)):
        assert told([]).after(event, 42.0).at == 42.0
