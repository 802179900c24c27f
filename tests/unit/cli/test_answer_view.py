"""What `tuner best` prints."""

import io

from tests.fakes.builders import make_ladder, make_study, make_trial
from tuner.analysis.best import answer
from tuner.analysis.contender import Contender
from tuner.analysis.gain import Gain
from tuner.cli.console import SafeConsole
from tuner.cli.tables import gain_text, print_answer
from tuner.domain.measurement import Capacity
from tuner.domain.slo import parse_slo
from tuner.domain.trial import TrialRole


def capacity(rps: float) -> Capacity:
    return Capacity(rps=rps, lower_rps=rps / 1.05, upper_rps=rps * 1.05, limited_by="ttft_p95")


def contender(number: int, rps: float, *again: float) -> Contender:
    points = make_ladder(4.0)
    role = TrialRole.SAMPLED if number else TrialRole.BASELINE
    flags = {"max-num-seqs": number} if number else {}
    return Contender(
        make_trial(number, flags=flags, role=role, points=points),
        capacity(rps),
        points,
        repeats=tuple(map(capacity, again)),
    )


def printed(*contenders: Contender, target_rps: float = 100.0) -> list[str]:
    slos = (parse_slo("ttft_p95=500ms"),)
    found = answer("night", "m", {}, contenders, target_rps=target_rps, headroom=2.0, slos=slos)
    out = io.StringIO()
    print_answer(SafeConsole(file=out, width=160, markup=False, highlight=False, emoji=False), found, make_study())
    return [line.strip() for line in out.getvalue().splitlines()]


def test_a_clear_winner_stands_with_its_gain_and_the_command_comes_last():
    lines = printed(contender(0, 4.0), contender(4, 8.0))
    assert "the clear winner among 2" in lines
    assert any(line.startswith("2.00× the capacity of vLLM's defaults (1.8") for line in lines)
    assert "Not confirmed: it was measured by one launch, and chosen by it. · tuner confirm 4" in lines
    assert lines[-1] == "vllm serve m --max-num-seqs=4"


def test_ties_are_listed_and_a_flattered_winner_is_said_to_be_so():
    lines = printed(contender(0, 4.0), *(contender(number, 8.0) for number in (1, 2, 3)), contender(4, 8.6))
    assert "no clear winner among 4: trials 1, 2, 3, 4 can't be told apart within noise" in lines
    assert any(line.startswith("the best of 5 is flattered by chance: expect ") for line in lines)


def test_a_confirmed_answer_stands_with_the_capacity_of_its_fresh_launches():
    lines = printed(contender(0, 4.0, 4.0, 4.1, 3.9), contender(4, 9.0, 8.0, 8.1, 7.9))
    assert any("the best sustains 8 req/s (7.7" in line for line in lines)
    assert any(line.startswith("Confirmed by 3 launches each: vLLM's defaults 4 req/s") for line in lines)
    assert not any("flattered" in line for line in lines)


def test_the_defaults_stand_in_the_table_once_when_they_are_the_answer():
    assert not any("defaults: TTFT p95" in line for line in printed(contender(0, 9.0), contender(4, 4.0)))
    assert any("defaults: TTFT p95" in line for line in printed(contender(0, 4.0), contender(4, 9.0)))


def test_a_gain_that_is_only_bounded_says_why():
    above = Gain(ratio=None, lower=1.3, upper=None, note="no measured rate broke it")
    below = Gain(ratio=None, lower=None, upper=1.2, note="no measured rate broke vLLM's defaults")
    unknown = Gain(ratio=None, lower=None, upper=None, note="vLLM's defaults have no valid load point")
    assert gain_text(above) == "at least 1.30× the capacity of vLLM's defaults: no measured rate broke it"
    assert gain_text(below).startswith("at most 1.20× the capacity")
    assert gain_text(unknown).startswith("no ratio to the capacity of vLLM's defaults: vLLM's defaults have")
