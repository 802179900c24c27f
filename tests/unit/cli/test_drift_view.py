"""The line that says a machine drifted."""

from tests.fakes.builders import make_capacity, make_launch, make_trial
from tuner.analysis.drift import drift
from tuner.cli.drift_view import drift_line
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Purpose, Trial, TrialRole

FIRST = make_capacity(10.0)


def night(again: Capacity, first: Capacity = FIRST) -> list[Trial]:
    launches = (make_launch(1, capacity=first), make_launch(2, Purpose.DRIFT, minute=2.5, capacity=again))
    baseline = make_trial(0, role=TrialRole.BASELINE, capacity=first, launches=launches)
    return [baseline, *(make_trial(number, capacity=FIRST) for number in (1, 2, 3))]


def test_a_steady_machine_needs_no_words():
    assert drift_line(drift(night(make_capacity(10.2)))) == ""
    assert drift_line(None) == ""


def test_it_says_when_by_how_much_and_which_trials():
    line = drift_line(drift(night(make_capacity(6.0))))
    assert "sustained 40% less than at first" in line
    assert "trial 1, 2 and 3" in line


def test_without_a_bound_it_says_in_which_direction():
    line = drift_line(drift(night(make_capacity(6.0), Capacity(rps=40, lower_rps=40, upper_rps=None))))
    assert "sustained less than at first" in line
