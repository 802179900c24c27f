"""What is told apart, what is called a tie, and which of a tie is named."""

import math

import pytest

from tests.benchmarks.answer.bench import REPEATS, Seen, random_study, twins
from tests.benchmarks.answer.studies import FAR, NEAR, Noise
from tests.fakes.builders import make_point, make_trial
from tuner.analysis.contender import Contender
from tuner.analysis.ties import Race, race
from tuner.domain.measurement import Capacity
from tuner.domain.slo import parse_slo
from tuner.domain.trial import TrialRole

SLOS = (parse_slo("ttft_p95=500ms"),)
STUDIES = 100


def contender(
    number: int, rps: float, *, ttft: float = 0.1, flags: int | None = None, open_: bool = False, off: float = 0.05
):
    capacity = Capacity(rps=rps, lower_rps=rps / (1 + off), upper_rps=None if open_ else rps * (1 + off))
    points = (make_point(2.0, ttft=ttft),)
    named = {f"flag-{place}": 1 for place in range(number if flags is None else flags)}
    role = TrialRole.SAMPLED if number else TrialRole.BASELINE
    return Contender(make_trial(number, flags=named, role=role, points=points), capacity, points)


def run(*contenders: Contender, needed: float = 1000.0) -> Race:
    return race(contenders, 2.0, needed / 2, SLOS)


def tied(*contenders: Contender, needed: float = 1000.0) -> list[int]:
    return [contenders[place].trial.number for place in run(*contenders, needed=needed).tied]


def named(*contenders: Contender, needed: float = 1000.0) -> int:
    return contenders[run(*contenders, needed=needed).named].trial.number


def test_capacities_within_noise_tie_and_those_beyond_it_do_not():
    assert tied(contender(0, 10.0), contender(1, 10.5), contender(2, 7.0)) == [0, 1]


def test_of_a_tie_the_one_with_fewer_flags_is_named_then_the_older():
    assert named(contender(1, 10.2, flags=3), contender(2, 10.0, flags=1)) == 2
    assert named(contender(1, 10.0, flags=2), contender(2, 10.2, flags=2)) == 1


def test_of_equally_simple_and_fast_ones_the_one_with_more_room_is_named():
    assert named(contender(1, 9.0, flags=1), contender(2, 18.0, flags=1), needed=8.0) == 2
    assert named(contender(1, 9.0, flags=1), contender(2, 18.0, flags=2), needed=8.0) == 1


def test_a_simpler_one_that_measured_clearly_less_is_tied_but_not_named():
    among = [contender(0, 10.0), contender(1, 11.0)]
    assert tied(*among) == [0, 1]
    assert named(*among) == 1


def test_what_no_rate_broke_may_be_any_better_and_ties():
    assert tied(contender(0, 5.0, open_=True), contender(1, 10.0)) == [0, 1]
    assert tied(contender(0, 5.0), contender(1, 10.0, open_=True)) == [1]


def test_what_held_no_rate_is_never_named_where_something_did():
    nothing = Contender(make_trial(0), Capacity(rps=0.0, upper_rps=9.9), ())
    assert named(nothing, contender(1, 10.0)) == 1
    assert named(nothing, Contender(make_trial(1, flags={"a": 1}), Capacity(rps=0.0, upper_rps=9.9), ())) == 0


def test_where_several_sustain_it_latencies_beyond_noise_decide_and_those_within_it_tie():
    fast, slower, slow = (
        contender(1, 10.0, ttft=0.1, flags=3),
        contender(2, 30.0, ttft=0.105, flags=1),
        contender(3, 30.0, ttft=0.45, flags=0),
    )
    assert tied(fast, slower, slow, needed=8.0) == [1, 2]
    assert named(fast, slower, slow, needed=8.0) == 2


def test_one_that_may_well_sustain_it_ties_but_only_one_that_does_is_named():
    among = [contender(0, 7.9), contender(1, 8.1)]
    assert tied(*among, needed=8.0) == [0, 1]
    assert named(*among, needed=8.0) == 1
    assert tied(contender(0, 5.0), contender(1, 8.1), needed=8.0) == [1]


def test_more_contenders_need_a_larger_difference():
    pair = [contender(0, 10.0), contender(1, 11.4)]
    assert tied(*pair) == [1]
    assert tied(*pair, *(contender(number, 1.0) for number in range(2, 30))) == [0, 1]


def repeated(number: int, rps: float, *again: float) -> Contender:
    one = contender(number, rps)
    repeats = tuple(Capacity(rps=each, lower_rps=each / 1.05, upper_rps=each * 1.05) for each in again)
    return Contender(one.trial, one.capacity, one.points, repeats=repeats)


def test_once_finalists_were_launched_again_the_choice_is_theirs_by_these_launches():
    among = [
        repeated(0, 10.0, 10.0, 10.1, 9.9),
        repeated(1, 14.0, 12.0, 12.1, 11.9),
        repeated(2, 13.0, 13.5, 13.4, 13.6),
        contender(3, 13.9),
    ]
    assert named(*among) == 2
    assert 3 in tied(*among)


def test_a_later_find_that_is_clearly_better_than_what_was_confirmed_is_named():
    among = [repeated(0, 10.0, 10.0, 10.1), repeated(1, 12.0, 11.0, 11.1), contender(2, 25.0)]
    assert named(*among) == 2


@pytest.mark.parametrize(("others", "target_rps"), [(0, FAR), (1, FAR), (1, NEAR)])
def test_identical_configurations_are_called_different_in_at_most_one_case_of_twenty(others: int, target_rps: float):
    seen = [twins(Noise(), others, target_rps, seed) for seed in range(STUDIES)]
    slack = 2.6 * math.sqrt(0.05 * 0.95 / STUDIES)
    assert sum(one.before.different for one in seen) / STUDIES < 0.05 + slack
    assert sum(one.after.different for one in seen) / STUDIES < 0.05 + slack


@pytest.fixture(scope="module")
def random_studies() -> list[Seen]:
    return [random_study(Noise(), 5, 0.1, seed) for seed in range(STUDIES)]


def test_after_a_confirmation_the_best_or_nearly_it_is_named(random_studies: list[Seen]):
    assert REPEATS == 5
    assert sum(one.after.lost < math.log(1.03) for one in random_studies) > 0.9 * STUDIES
    assert sum(one.before.lost < math.log(1.1) for one in random_studies) > 0.85 * STUDIES


def test_the_gains_interval_holds_the_truth_before_and_after_a_confirmation(random_studies: list[Seen]):
    for found in ([one.before for one in random_studies], [one.after for one in random_studies]):
        given = [one.covered for one in found if one.ratio is not None]
        assert len(given) > STUDIES / 2
        assert 0.83 < sum(given) / len(given) < 0.97


def test_nothing_is_confirmed_to_be_better_than_the_defaults_that_is_not(random_studies: list[Seen]):
    assert sum(one.after.false for one in random_studies) <= 0.02 * STUDIES
