"""The answer in the report's words."""

from typing import Any

import pytest

from tests.fakes.builders import make_study
from tests.fakes.nights import trials_of_night
from tuner.analysis.best import Answer
from tuner.analysis.confirmation import Confirmation, Status
from tuner.analysis.gain import Expected, Gain
from tuner.report.page_model import Fact, Verdict
from tuner.study.answer import best_answer
from tuner.study.importance import Importance, Mattered, Pair
from tuner.study.report_words import verdict_of, weights_of


def answer(target_rps: float = 2.0, **changes: Any) -> Answer:
    """The night's answer, with parts of it replaced."""
    study = make_study()
    found = best_answer(study, trials_of_night(), target_rps=target_rps, headroom=2.0, slos=study.spec.slos)
    return found.model_copy(update=changes)


def verdict(target_rps: float = 2.0, **changes: Any) -> Verdict:
    return verdict_of(answer(target_rps, **changes), make_study().spec.slos)


def fact(name: str, found: Verdict) -> Fact:
    return next(each for each in found.facts if each.name == name)


def test_the_headline_says_what_to_deploy_and_the_command_is_below():
    found = verdict(trial=3, flags={"max-num-seqs": 24}, capacity_rps=8.0, headroom=4.0)
    assert found.headline == "Deploy trial 3: sustains 8 req/s, 4.0× the target"
    assert found.question == "Asked: 2 req/s with TTFT p95 ≤ 500 ms, and 2× headroom."
    assert found.command.startswith("vllm serve m/tiny \\\n  --max-model-len=")


def test_defaults_that_are_best_are_called_so():
    assert verdict(flags={}).headline.startswith("Deploy vLLM's defaults: ")


def test_where_one_replica_is_not_enough_it_says_how_many_are():
    assert "20 req/s need" in verdict(10.0).headline
    assert fact("headroom", verdict(10.0)).tone == "bad"


def test_where_nothing_held_no_replicas_are_promised():
    assert "out of reach" in verdict(replicas=None, sustained=False).headline


@pytest.mark.parametrize(
    ("gain", "value", "tone"),
    [
        (Gain(ratio=1.5, lower=1.2, upper=1.9), "1.50×", "good"),
        (Gain(ratio=1.1, lower=0.9, upper=1.3), "1.10×", "open"),
        (Gain(ratio=None, lower=1.4, upper=None, note="no measured rate broke it"), "≥ 1.40×", "good"),
        (Gain(ratio=None, lower=None, upper=2.0, note="no measured rate broke vLLM's defaults"), "≤ 2.00×", "open"),
        (Gain(ratio=None, lower=None, upper=None, note="neither is known"), "unknown", "open"),
    ],
)
def test_the_gain_is_only_good_where_its_whole_interval_is(gain: Gain, value: str, tone: str):
    found = fact("capacity over defaults", verdict(trial=3, gain=gain))
    assert (found.value, found.tone) == (value, tone)


def test_defaults_gain_nothing_over_themselves():
    assert not [each for each in verdict(trial=0).facts if each.name == "capacity over defaults"]


def test_ties_are_called_no_clear_winner():
    tied = fact("standing", verdict(ties=(0, 3, 6), clear_winner=False))
    assert (tied.value, tied.tone) == ("no clear winner", "open")
    assert tied.detail.startswith("3 of 6 measured within noise")
    assert fact("standing", verdict(ties=(), clear_winner=True)).value == "clear winner"


@pytest.mark.parametrize(
    ("status", "tone"),
    [(Status.CONFIRMED, "good"), (Status.CONTRADICTED, "bad"), (Status.INCONCLUSIVE, "open")],
)
def test_the_confirmation_is_said_with_its_launches(status: Status, tone: str):
    said = Confirmation(status=status, launches=5, text="It stands.")
    found = verdict(confirmed=said)
    assert fact("confirmation", found).tone == tone
    assert "5 fresh" in fact("confirmation", found).detail
    assert found.reasons[-1] == "It stands."


def test_what_is_not_confirmed_comes_with_the_command_that_would():
    said = Confirmation(status=Status.UNCONFIRMED, launches=0, text="Not confirmed.", command="tuner confirm 3")
    found = verdict(confirmed=said)
    assert fact("confirmation", found).value == "not confirmed"
    assert found.reasons[-1] == "Not confirmed. To settle it: tuner confirm 3"


def test_both_sentences_of_why_are_there():
    assert {"It is fast.", "The rest is slow."} <= set(verdict(why=("It is fast.", "The rest is slow.")).reasons)


def test_a_figure_that_is_flattered_by_the_choice_is_corrected():
    lower = Expected(rps=5.0, lower_rps=4.0, upper_rps=6.0)
    assert any("expect 5 req/s (4–6)" in reason for reason in verdict(expected=lower).reasons)
    same = Expected(rps=answer().capacity_rps, lower_rps=4.0, upper_rps=9.0)
    assert not any("flattered" in reason for reason in verdict(expected=same).reasons)


def test_importances_keep_their_doubts():
    one = Importance(parameter="max-num-seqs", share=0.8, lower=0.5, upper=0.9, chance=0.4, is_apart=True)
    pair = Pair(first="max-num-seqs", second="block-size", share=0.1)
    found = weights_of(
        [Mattered(figure="ttft_p95", trials=9, parameters=(one,), pairs=(pair,), pairs_known=True, warning="Too few.")],
        ["Own SLOs."],
    )
    assert [(weight.objective, weight.parameter, weight.is_apart) for weight in found.single] == [
        ("ttft_p95", "max-num-seqs", True)
    ]
    assert found.pairs == (("ttft_p95", "max-num-seqs", "block-size", 0.1),)
    assert found.notes == ("TTFT p95: Too few.", "Own SLOs.")
