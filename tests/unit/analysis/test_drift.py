"""The baseline's later measurements against its first."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.builders import make_capacity, make_launch, make_trial
from tuner.analysis.drift import drift
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Launch, Purpose, Trial, TrialRole, TrialState

FIRST = make_capacity(10.0)


def baseline(*later: Launch, capacity: Capacity = FIRST) -> Trial:
    return make_trial(
        0, role=TrialRole.BASELINE, capacity=capacity, launches=(make_launch(1, capacity=capacity), *later)
    )


def check(minute: float, rps: float, *, purpose: Purpose = Purpose.DRIFT, attempt: int = 2) -> Launch:
    return make_launch(attempt, purpose, minute=minute, capacity=make_capacity(rps))


def others(count: int) -> list[Trial]:
    """Trial n began n minutes after the study."""
    return [make_trial(number, capacity=make_capacity(12.0)) for number in range(1, count + 1)]


def test_without_a_measured_baseline_there_is_nothing_to_compare_with():
    assert drift([make_trial(0, role=TrialRole.BASELINE, state=TrialState.FAILED)]) is None


def test_a_baseline_within_its_noise_leaves_every_trial_in_peace():
    found = drift([baseline(check(2.5, 10.3), check(4.5, 9.8, attempt=3)), *others(4)])
    assert found is not None
    assert [one.moved for one in found.checks] == [False, False]
    assert (found.suspect, found.doubtful) == (frozenset(), False)


def test_trials_next_to_a_check_that_moved_are_suspect_and_those_before_a_good_one_are_not():
    found = drift([baseline(check(2.5, 10.2), check(4.5, 6.0, attempt=3)), *others(6)])
    assert found is not None
    assert [one.moved for one in found.checks] == [False, True]
    assert found.suspect == {3, 4, 5, 6}


def test_a_machine_that_recovered_is_trusted_again():
    story = [check(2.5, 6.0), check(4.5, 10.1, attempt=3), check(6.5, 10.0, attempt=4)]
    found = drift([baseline(*story), *others(6)])
    assert found is not None
    assert found.suspect == {1, 2, 3, 4}


def test_a_doubtful_check_asks_for_one_more_launch_which_settles_it():
    doubtful = drift([baseline(check(2.5, 9.1)), *others(2)])
    assert doubtful is not None
    assert (doubtful.doubtful, doubtful.checks[0].moved) == (True, False)
    settled = drift([baseline(check(2.5, 9.1), check(2.9, 10.4, attempt=3)), *others(2)])
    assert settled is not None
    assert (settled.doubtful, [one.moved for one in settled.checks]) == (False, [False])
    worse = drift([baseline(check(2.5, 8.8), check(2.9, 8.8, attempt=3)), *others(2)])
    assert worse is not None
    assert (worse.doubtful, [one.moved for one in worse.checks]) == (False, [True])


def test_confirming_the_baseline_is_a_check_too():
    found = drift([baseline(check(2.5, 6.0, purpose=Purpose.CONFIRM)), *others(2)])
    assert found is not None
    assert found.suspect == {1, 2}


def test_a_launch_that_failed_counts_as_tried_and_says_nothing():
    busy = Failure(kind=FailureKind.GPU_BUSY)
    found = drift([baseline(make_launch(2, Purpose.DRIFT, minute=2.5, failure=busy)), *others(3)])
    assert found is not None
    assert (found.since, found.checks[0].ratio, found.suspect) == (1, None, frozenset())


def test_a_launch_that_was_interrupted_does_not_count():
    found = drift([baseline(make_launch(2, Purpose.DRIFT, minute=2.5)), *others(3)])
    assert found is not None
    assert (found.since, found.checks) == (3, ())


def test_without_bounds_only_intervals_apart_say_that_it_moved():
    open_above = Capacity(rps=40.0, lower_rps=40.0, upper_rps=None)
    same = make_launch(2, Purpose.DRIFT, minute=1.5, capacity=open_above)
    less = make_launch(3, Purpose.DRIFT, minute=2.5, capacity=make_capacity(20.0))
    found = drift([baseline(same, less, capacity=open_above), *others(2)])
    assert found is not None
    assert [one.moved for one in found.checks] == [False, True]


def test_trials_that_needed_no_launch_count_for_nothing():
    refused = make_trial(1, state=TrialState.INFEASIBLE)
    found = drift([baseline(), refused, make_trial(2, capacity=make_capacity(12.0))])
    assert found is not None
    assert found.since == 1


@given(st.floats(0.2, 5.0), st.floats(0.01, 0.3))
def test_the_same_ratio_is_as_doubtful_up_as_down(ratio: float, width: float):
    def z(of: float) -> float:
        later = make_launch(2, Purpose.DRIFT, minute=1.5, capacity=make_capacity(10.0 * of, width=width))
        found = drift([baseline(later)])
        assert found is not None
        return found.checks[0].z

    assert abs(z(ratio) + z(1 / ratio)) < 1e-6
