"""Which trials a study measures again."""

from typing import Any

from tests.fakes.builders import make_ladder, make_spec, make_trial
from tests.fakes.nights import launch
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Purpose, Trial, TrialRole
from tuner.study.answer import contenders
from tuner.study.finalists import finalists

SPEC = make_spec(target_rps=100)


def trial(number: int, rps: float, **changes: Any) -> Trial:
    capacity = Capacity(rps=rps, lower_rps=rps / 1.05, upper_rps=rps * 1.05)
    flags = {"max-num-seqs": number} if number else {}
    role = TrialRole.SAMPLED if number else TrialRole.BASELINE
    return make_trial(number, flags=flags, role=role, points=make_ladder(4.0), capacity=capacity, **changes)


def test_the_named_trial_and_its_ties_are_finalists():
    trials = [trial(0, 4.0), trial(1, 8.0), trial(2, 8.1), trial(3, 2.0)]
    assert finalists(trials, SPEC, 3) == (1, 2)
    assert finalists(trials, SPEC, 1) == (1,)
    assert finalists([], SPEC, 3) == ()


def test_launches_that_confirm_are_the_repeats_of_a_contender_with_their_load_points():
    again = launch(1, 2, Purpose.CONFIRM, rps=7.0)
    points = (*make_ladder(4.0), *(point.model_copy(update={"attempt": 2}) for point in make_ladder(6.0)))
    one = trial(1, 8.0, launches=(launch(1, rps=8.0), again, launch(1, 3, Purpose.CONFIRM)))
    found = contenders([one.model_copy(update={"load_points": points})], SPEC, SPEC.slos)[0]
    assert [capacity.rps for capacity in found.repeats] == [7.0]
    assert [len(points) for points in found.repeated_points] == [len(make_ladder(6.0))]
    assert found.capacity.rps == 8.0
    assert found.points == make_ladder(4.0)
