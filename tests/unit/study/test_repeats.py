"""What is due to be measured again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.builders import make_capacity, make_launch, make_trial
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.study import Repeats
from tuner.domain.trial import Launch, Purpose, Trial, TrialRole, TrialState
from tuner.study.repeats import Again, Rounds, affordable, baseline, confirmation, drift_due

CAPACITY = make_capacity(10.0)


def defaults(*later: Launch) -> Trial:
    own = make_launch(1, capacity=CAPACITY)
    return make_trial(0, role=TrialRole.BASELINE, capacity=CAPACITY, launches=(own, *later))


def others(count: int) -> list[Trial]:
    return [make_trial(number, capacity=CAPACITY) for number in range(1, count + 1)]


def test_the_baseline_is_due_after_so_many_trials_and_again_after_as_many():
    assert drift_due([defaults(), *others(2)], 3) is None
    assert drift_due([defaults(), *others(3)], 3) == Again(0, Purpose.DRIFT)
    checked = defaults(make_launch(2, Purpose.DRIFT, minute=3.5, capacity=CAPACITY))
    assert drift_due([checked, *others(5)], 3) is None
    assert drift_due([checked, *others(6)], 3) == Again(0, Purpose.DRIFT)


def test_a_doubtful_check_is_due_at_once_and_only_once():
    first = make_launch(2, Purpose.DRIFT, minute=3.5, capacity=make_capacity(5.0))
    assert drift_due([defaults(first), *others(3)], 3) == Again(0, Purpose.DRIFT)
    second = make_launch(3, Purpose.DRIFT, minute=3.9, capacity=make_capacity(5.0))
    assert drift_due([defaults(first, second), *others(3)], 3) is None


def test_drift_checks_can_be_switched_off_and_need_a_baseline():
    assert drift_due([defaults(), *others(9)], None) is None
    assert drift_due(others(9), 3) is None


@pytest.mark.parametrize(
    ("trials", "size"),
    [(3, (0, 0)), (7, (0, 0)), (8, (1, 1)), (12, (2, 1)), (16, (1, 2)), (24, (2, 2)), (400, (2, 2))],
)
def test_a_confirmation_takes_at_most_a_quarter_of_the_trials_launches(trials: int, size: tuple[int, int]):
    assert affordable(Repeats(), trials) == Rounds(*size)


@given(st.integers(0, 500), st.integers(1, 10), st.integers(0, 50))
def test_no_confirmation_is_larger_than_wanted_or_affordable(trials: int, finalists: int, confirm: int):
    size = affordable(Repeats(finalists=finalists, confirm=confirm), trials)
    assert size.launches <= trials / 4
    assert size.finalists <= finalists
    assert size.rounds <= confirm


def test_finalists_and_baseline_take_turns_every_other_round_backwards():
    due = confirmation([defaults(), *others(3)], (2, 3), 3)
    assert [again.number for again in due] == [0, 2, 3, 3, 2, 0, 0, 2, 3]
    assert {again.purpose for again in due} == {Purpose.CONFIRM}


def test_a_confirmation_that_was_cut_short_goes_on_and_failed_launches_count():
    broken = make_launch(3, Purpose.CONFIRM, failure=Failure(kind=FailureKind.GPU_BUSY))
    done = defaults(make_launch(2, Purpose.CONFIRM, capacity=CAPACITY), broken)
    interrupted = make_launch(3, Purpose.CONFIRM)
    its = (make_launch(1), make_launch(2, Purpose.CONFIRM, capacity=CAPACITY), interrupted)
    trial = make_trial(1, capacity=CAPACITY, launches=its)
    assert [again.number for again in confirmation([done, trial], (1,), 2)] == [1]
    assert confirmation([done, trial], (1,), 1) == ()


def test_a_study_without_a_measured_baseline_has_none():
    with pytest.raises(LookupError):
        baseline([make_trial(0, role=TrialRole.BASELINE, state=TrialState.FAILED)])
