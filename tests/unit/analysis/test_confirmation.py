"""Who is measured again, and what the repeats say of the answer."""

import pytest

from tests.fakes.builders import make_point, make_trial
from tuner.analysis.confirmation import Confirmation, Status, finalists, verdict
from tuner.analysis.contender import Contender
from tuner.domain.measurement import Capacity
from tuner.domain.slo import parse_slo
from tuner.domain.trial import TrialRole

SLOS = (parse_slo("ttft_p95=500ms"),)


def capacity(rps: float) -> Capacity:
    return Capacity(rps=rps, lower_rps=rps / 1.05, upper_rps=rps * 1.05)


def contender(number: int, rps: float, *again: float) -> Contender:
    role = TrialRole.SAMPLED if number else TrialRole.BASELINE
    flags = {f"flag-{place}": 1 for place in range(min(number, 1))}
    points = (make_point(2.0),)
    return Contender(
        make_trial(number, flags=flags, role=role),
        capacity(rps),
        points,
        repeats=tuple(map(capacity, again)),
        repeated_points=tuple(points for _ in again),
    )


def judged(*contenders: Contender, needed: float = 1000.0) -> Confirmation:
    return verdict(contenders, 2.0, needed / 2, SLOS)


def chosen(*contenders: Contender, most: int = 3) -> tuple[int, ...]:
    return finalists(contenders, 2.0, 500.0, SLOS, most)


def test_the_named_one_and_its_ties_are_finalists_the_named_one_first_then_the_best():
    among = [contender(0, 9.0), contender(3, 10.0), contender(5, 10.3), contender(4, 10.1), contender(6, 5.0)]
    assert chosen(*among) == (3, 5, 4)
    assert chosen(*among, most=2) == (3, 5)
    assert chosen(*among, most=0) == ()


def test_a_clear_winner_is_the_only_finalist_and_the_defaults_never_are():
    assert chosen(contender(0, 9.0), contender(1, 20.0), contender(2, 10.0)) == (1,)
    assert chosen(contender(0, 10.0), contender(1, 10.0)) == (1,)


def test_where_the_defaults_are_clearly_best_the_next_best_is_measured_beside_them():
    assert chosen(contender(0, 20.0), contender(1, 10.0), contender(2, 15.0)) == (2,)


def test_there_are_no_finalists_without_a_rival():
    assert chosen(contender(0, 20.0)) == ()
    assert chosen() == ()


def test_finalists_stay_the_same_while_they_are_being_measured_again():
    before = [contender(0, 9.0), contender(1, 10.0), contender(2, 10.2)]
    assert chosen(*before) == chosen(contender(0, 9.0, 9.0), contender(1, 10.0, 5.0), contender(2, 10.2))


def test_without_repeats_nothing_is_confirmed_and_the_command_that_would_is_named():
    found = judged(contender(0, 9.0), contender(4, 20.0), contender(7, 19.5))
    assert (found.status, found.launches, found.repeated) == (Status.UNCONFIRMED, 0, ())
    assert found.command == "tuner confirm 4 7"


def test_repeats_that_agree_confirm_with_their_own_figures():
    found = judged(contender(0, 9.0, 10.0, 10.1, 9.9), contender(4, 25.0, 20.0, 20.2, 19.8))
    assert (found.status, found.launches, found.command, found.named_before) == (Status.CONFIRMED, 3, "", 4)
    assert [one.trial for one in found.repeated] == [0, 4]
    assert found.repeated[1].rps == pytest.approx(20.0, rel=1e-3)
    assert found.text.startswith("Confirmed by 3 launches each: vLLM's defaults 10 req/s")


def test_another_finalist_that_is_better_contradicts():
    found = judged(
        contender(0, 9.0, 9.0, 9.1, 8.9), contender(1, 20.0, 12.0, 12.1, 11.9), contender(2, 18.0, 18.0, 18.2, 17.8)
    )
    assert found.status is Status.CONTRADICTED
    assert "the search named trial 1, but trial 2 is better" in found.text


def test_a_gain_that_is_not_there_contradicts():
    again = (10.0, 10.1, 9.9, 10.0, 10.05, 9.95)
    found = judged(contender(0, 10.0, *again), contender(1, 14.0, *again))
    assert found.status is Status.CONTRADICTED
    assert "gains at most 5%" in found.text


def test_a_difference_within_noise_asks_for_more_repeats():
    found = judged(contender(0, 10.0, 9.6, 10.4), contender(1, 14.0, 10.1, 10.9))
    assert found.status is Status.INCONCLUSIVE
    assert "too few repeats: 2 launches each" in found.text
    assert found.command.startswith("tuner confirm 1 --repeats ")
    assert int(found.command.split()[-1]) > 2


def test_one_launch_each_is_too_few_however_large_the_difference():
    found = judged(contender(0, 10.0, 10.0), contender(1, 30.0, 30.0))
    assert (found.status, found.launches) == (Status.INCONCLUSIVE, 1)


def test_a_finalist_without_the_defaults_beside_it_is_not_confirmed():
    assert judged(contender(0, 10.0), contender(1, 30.0, 30.0, 30.1)).status is Status.INCONCLUSIVE


def test_defaults_that_nothing_beats_are_confirmed():
    found = judged(contender(0, 20.0, 20.0, 20.1, 19.9), contender(1, 10.0, 10.0, 10.1, 9.9))
    assert found.status is Status.CONFIRMED
    assert "nothing that was measured again beats vLLM's defaults" in found.text


def test_where_several_sustain_it_the_answer_must_sustain_it_again():
    def slow(number: int, *again: float) -> Contender:
        one = contender(number, 20.0, *again)
        points = (make_point(2.0, ttft=0.45),)
        return Contender(one.trial, one.capacity, points, None, one.repeats, tuple(points for _ in again))

    again = (20.0, 20.2, 19.8)
    assert judged(slow(0, *again), contender(1, 20.0, *again), needed=15.0).status is Status.CONFIRMED
    assert judged(slow(0, *again), contender(1, 20.0, *again), needed=19.8).status is Status.INCONCLUSIVE
    alike = judged(contender(0, 20.0, *again), contender(1, 20.0, *again), needed=15.0)
    assert (alike.status, alike.named_before) == (Status.CONFIRMED, 0)


def test_a_study_without_measured_defaults_can_still_be_confirmed():
    assert judged(contender(1, 20.0, 20.0, 20.1), contender(2, 10.0)).status is Status.CONFIRMED
