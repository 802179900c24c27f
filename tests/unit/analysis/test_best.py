"""The choice of `tuner best`."""

import pytest

from tests.fakes.builders import make_ladder, make_point, make_trial
from tuner.analysis.best import Contender, answer, choose
from tuner.analysis.figures import point_at
from tuner.domain.measurement import Capacity
from tuner.domain.slo import parse_slo
from tuner.domain.trial import TrialRole

SLOS = (parse_slo("ttft_p95=500ms"),)


def contender(
    number: int, holds: float, ttft: float = 0.1, role: TrialRole = TrialRole.SAMPLED, **flags: int
) -> Contender:
    named = {name.replace("_", "-"): value for name, value in flags.items()}
    points = make_ladder(holds, ttft=ttft)
    upper = min((rate for rate in (2.0, 4.0, 6.0, 8.0) if rate > holds), default=None)
    return Contender(
        make_trial(number, flags=named, role=role, points=points), Capacity(rps=holds, upper_rps=upper), points
    )


def chosen(*contenders: Contender, target: float = 2.0, headroom: float = 2.0) -> int:
    return choose(contenders, target, headroom, SLOS).trial.number


def test_among_those_that_sustain_the_target_the_best_latency_wins_over_more_capacity():
    assert chosen(contender(1, holds=8.0, ttft=0.4), contender(2, holds=4.0, ttft=0.2)) == 2


def test_one_that_does_not_sustain_target_times_headroom_loses_whatever_its_latency():
    assert chosen(contender(1, holds=2.0, ttft=0.01), contender(2, holds=4.0, ttft=0.4)) == 2


def test_where_none_sustains_it_the_highest_capacity_wins():
    assert chosen(contender(1, holds=2.0, ttft=0.01), contender(2, holds=6.0, ttft=0.4), target=20.0) == 2


def test_equals_are_told_apart_by_fewer_changed_flags():
    assert chosen(contender(1, 4.0, max_num_seqs=8, block_size=16), contender(2, 4.0, max_num_seqs=8)) == 2


def test_the_tightest_limit_decides_between_several_slos():
    slos = (*SLOS, parse_slo("tpot_p95=25ms"))
    slow_tokens = Contender(make_trial(1), Capacity(rps=4.0, upper_rps=None), (make_point(ttft=0.05, tpot=0.024),))
    slow_first = Contender(make_trial(2), Capacity(rps=4.0, upper_rps=None), (make_point(ttft=0.2, tpot=0.01),))
    assert choose([slow_tokens, slow_first], 2.0, 2.0, slos).trial.number == 2


@pytest.mark.parametrize(("rate", "speaks"), [(2.0, 2.0), (3.0, 4.0), (0.5, 2.0), (99.0, 8.0)])
def test_a_rate_between_load_points_is_judged_by_the_next_one_above(rate: float, speaks: float):
    point = point_at(make_ladder(holds=8.0), rate)
    assert point is not None
    assert point.summary.offered_rps == speaks


def test_a_load_point_that_the_client_bent_speaks_for_no_rate():
    bent = make_point(2.0, ttft=9.0, invalid=("the client used 95% of a core",))
    again = make_point(2.0, index=1)
    assert point_at([bent, again], 2.0) is again
    assert point_at([bent], 2.0) is None


def answered(target: float, *contenders: Contender, headroom: float = 2.0):
    base = {"max-model-len": 160}
    return answer("night", "m", base, contenders, target_rps=target, headroom=headroom, slos=SLOS)


def test_the_answer_names_the_command_the_headroom_and_the_defaults():
    found = answered(2.0, contender(0, 4.0, ttft=0.3, role=TrialRole.BASELINE), contender(1, 6.0, max_num_seqs=16))
    assert found.trial == 1
    assert found.command == "vllm serve m --max-model-len=160 --max-num-seqs=16"
    assert (found.capacity_rps, found.headroom, found.slo_met, found.sustained, found.replicas) == (
        6.0,
        3.0,
        True,
        True,
        1,
    )
    assert found.baseline is not None
    assert found.baseline.flags == {}
    assert found.baseline.capacity_rps == 4.0


def test_where_nothing_sustains_it_the_answer_counts_replicas():
    found = answered(10.0, contender(1, 6.0))
    assert (found.slo_met, found.sustained, found.replicas) == (False, False, 4)


def test_where_no_rate_held_at_all_no_number_of_replicas_is_promised():
    found = answered(10.0, contender(1, 0.0))
    assert (found.slo_met, found.sustained, found.replicas) == (False, False, None)


def test_the_target_may_be_met_without_the_headroom():
    found = answered(4.0, contender(1, 6.0))
    assert (found.slo_met, found.sustained, found.replicas) == (True, False, 2)


def test_what_the_user_runs_today_stands_beside_the_answer():
    found = answered(2.0, contender(1, 4.0, role=TrialRole.CANDIDATE, max_num_seqs=64), contender(2, 6.0))
    assert [candidate.flags for candidate in found.candidates] == [{"max-num-seqs": 64}]
