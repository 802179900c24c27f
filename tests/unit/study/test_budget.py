"""When a study ends."""

import math
from datetime import datetime, timedelta, timezone

import pytest

from tests.fakes.builders import make_launch, make_trial
from tuner.domain.study import Budget
from tuner.domain.trial import Purpose, TrialState
from tuner.study.budget import allowance, counted, deadline, spent_seconds, typical_trial

EVENING = datetime(2026, 1, 1, 18, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(("until", "hours"), [("07:00", 13), ("18:30", 0.5), ("18:00", 24), ("17:59", 23 + 59 / 60)])
def test_until_is_the_next_such_time_of_day(until: str, hours: float):
    ends = deadline(Budget(until=until), now=EVENING, spent=0)
    assert ends is not None
    assert ends - EVENING == timedelta(hours=hours)


def test_hours_spent_in_earlier_sessions_are_not_given_again():
    assert deadline(Budget(hours=8), now=EVENING, spent=3 * 3600) == EVENING + timedelta(hours=5)


def test_the_earlier_of_two_ends_counts():
    assert deadline(Budget(hours=8, until="19:00"), now=EVENING, spent=0) == EVENING + timedelta(hours=1)


def test_without_a_bound_in_time_there_is_no_deadline():
    assert deadline(Budget(trials=3), now=EVENING, spent=0) is None


def ends(budget: Budget, *, finished: int = 0, seconds: float = math.inf, typical: float = 0.0) -> str | None:
    at = None if math.isinf(seconds) else EVENING + timedelta(seconds=seconds)
    return allowance(budget, now=EVENING, ends=at, finished=finished).ends(typical)


def test_a_study_ends_when_its_trials_are_used_up_however_often_it_is_resumed():
    assert ends(Budget(trials=8), finished=7) is None
    assert "trials" in (ends(Budget(trials=8), finished=8) or "")


def test_a_trial_that_would_not_fit_into_the_night_is_not_started():
    assert ends(Budget(hours=1), seconds=100, typical=90) is None
    assert "100 s are left" in (ends(Budget(hours=1), seconds=100, typical=110) or "")


def test_only_trials_that_launched_and_came_to_an_end_count():
    states = [
        TrialState.MEASURED,
        TrialState.FAILED,
        TrialState.INFEASIBLE,
        TrialState.DUPLICATE,
        TrialState.INTERRUPTED,
    ]
    trials = [make_trial(number, state=state) for number, state in enumerate(states)]
    assert counted(trials) == 2
    assert spent_seconds(trials) == 300


def test_a_typical_trial_is_the_longest_of_the_last_five():
    durations = [900, 10, 20, 70, 30, 40]
    trials = [
        make_trial(number, ended_at=make_trial(number).started_at + timedelta(seconds=seconds))  # pyright: ignore[reportOptionalOperand]
        for number, seconds in enumerate(durations)
    ]
    assert typical_trial(trials) == 70
    assert typical_trial([]) == 0


def test_time_that_is_kept_for_confirming_is_not_spent_on_trials():
    left = allowance(Budget(), now=EVENING, ends=EVENING + timedelta(seconds=300), finished=8)
    assert left.ends(100.0) is None
    assert left.ends(100.0, reserved=200.0) is None
    assert (
        left.ends(100.0, reserved=201.0)
        == "a trial takes about 100 s and 300 s are left, 201 s of them to confirm the best"
    )


def test_what_was_measured_again_was_time_spent_too():
    again = make_launch(2, Purpose.DRIFT, minute=5)
    assert spent_seconds([make_trial(0, launches=(make_launch(1), again))]) == 60 + 50
