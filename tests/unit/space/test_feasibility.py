from typing import Any

import pytest

from tuner.domain.errors import InputError
from tuner.domain.expression import expression
from tuner.domain.flags import Flags
from tuner.domain.space import SearchSpace
from tuner.space.feasibility import check_possible, refusal
from tuner.space.rules import RULES

INT = {"type": "int", "low": 1, "high": 4096}


def _space(parameters: dict[str, Any], *constraints: str) -> SearchSpace:
    return SearchSpace.model_validate({"parameters": parameters, "constraints": constraints})


ANY = _space({"max-num-seqs": INT})


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"max-num-seqs": 64, "max-num-batched-tokens": 32}, "max-num-batched-tokens is below max-num-seqs"),
        (
            {"enable-chunked-prefill": False, "max-num-batched-tokens": 639},
            "max-num-batched-tokens is below max-model-len",
        ),
        ({"gpu-memory-utilization": 0.0}, "fraction above 0"),
        ({"gpu-memory-utilization": 1.01}, "fraction above 0"),
        ({"max-num-seqs": 8, "max-num-active-seqs": 9}, "max-num-active-seqs is above max-num-seqs"),
        ({"long-prefill-token-threshold": 641}, "above max-model-len"),
        ({"long-prefill-token-threshold": -1}, "must not be negative"),
        ({"watermark": 1.0}, "below 1"),
        ({"max-num-seqs": 0}, "at least 1"),
        ({"max-num-batched-tokens": 0}, "at least 1"),
        ({"max-num-active-seqs": 0}, "at least 1"),
        ({"max-model-len": 0}, "at least 1"),
        ({"stream-interval": 0}, "at least 1"),
        ({"block-size": 0}, "at least 1"),
        ({"optimization-level": 4}, "0, 1, 2 or 3"),
    ],
)
def test_what_vllm_refuses_is_refused_before_a_launch(flags: Flags, reason: str) -> None:
    sentence = refusal(ANY, flags, {"max-model-len": 640})
    assert sentence is not None
    assert reason in sentence


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"max-num-seqs": 64, "max-num-batched-tokens": 64},
        {"enable-chunked-prefill": False, "max-num-batched-tokens": 640},
        {"enable-chunked-prefill": True, "max-num-batched-tokens": 64},
        {"gpu-memory-utilization": 1.0},
        {"max-num-seqs": 8, "max-num-active-seqs": 8},
        {"long-prefill-token-threshold": 640},
        {"max-model-len": -1, "long-prefill-token-threshold": 0},
        {"max-model-len": "8k", "max-num-batched-tokens": "2k", "max-num-seqs": 64},
        {"optimization-level": 3, "watermark": 0.0},
        {"max-num-seqs": 4096},
    ],
)
def test_what_vllm_takes_is_not_refused(flags: Flags) -> None:
    assert refusal(ANY, flags, {"max-model-len": 640}) is None


def test_proposed_flags_go_before_fixed_ones() -> None:
    assert refusal(ANY, {"max-num-seqs": 8}, {"max-num-seqs": 64, "max-num-batched-tokens": 32}) is None
    assert refusal(ANY, {"max-num-seqs": 33}, {"max-num-batched-tokens": 32}) is not None


def test_the_spaces_own_constraint_comes_first_and_is_quoted() -> None:
    space = _space({"max-num-seqs": INT, "max-num-batched-tokens": INT}, "max-num-batched-tokens >= 4 * max-num-seqs")
    sentence = refusal(space, {"max-num-seqs": 64, "max-num-batched-tokens": 32}, {})
    assert sentence == "the space's constraint max-num-batched-tokens >= 4 * max-num-seqs is violated"


def test_a_rule_counts_only_for_the_versions_that_have_it() -> None:
    flags = {"max-num-seqs": 8, "max-num-active-seqs": 9}
    assert refusal(ANY, flags, {}, version="0.32.0") is not None
    assert refusal(ANY, flags, {}, version="0.32.1.dev3+cpu") is not None
    assert refusal(ANY, flags, {}, version="0.20.0") is None
    assert refusal(ANY, flags, {}, version="unknown") is not None


NGRAM = {"speculative-config.method": "ngram", "speculative-config.num_speculative_tokens": 3}


@pytest.mark.parametrize(
    ("flags", "facts", "reason"),
    [
        ({"tensor-parallel-size": 3}, {"model.heads": 32}, "does not divide the model's query heads"),
        ({"tensor-parallel-size": 4}, {"device.gpus": 2}, "above the number of GPUs"),
        ({"tensor-parallel-size": 2, "pipeline-parallel-size": 2}, {"device.gpus": 2}, "above the number of GPUs"),
        ({"tensor-parallel-size": 4, "decode-context-parallel-size": 3}, {}, "does not divide tensor-parallel-size"),
        ({"mamba-block-size": 16, "enable-prefix-caching": False}, {}, "only with enable-prefix-caching"),
        ({**NGRAM, "async-scheduling": True}, {}, "does not go with this method"),
        (
            {**NGRAM, "enable-lora": True, "max-num-seqs": 64, "max-num-batched-tokens": 255},
            {},
            "every sequence's draft tokens",
        ),
    ],
)
def test_rules_that_read_facts_or_several_flags(flags: Flags, facts: Flags, reason: str) -> None:
    assert reason in (refusal(ANY, flags, {}, facts=facts) or "")


@pytest.mark.parametrize(
    ("flags", "facts"),
    [
        ({"tensor-parallel-size": 3}, {}),
        ({"tensor-parallel-size": 4}, {"model.heads": 32, "device.gpus": 4}),
        ({"pipeline-parallel-size": 2}, {"device.gpus": 2}),
        ({"mamba-block-size": 16, "enable-prefix-caching": True}, {}),
        (NGRAM, {}),
        ({"speculative-config.method": "eagle3", "async-scheduling": True}, {}),
        ({**NGRAM, "enable-lora": True, "max-num-seqs": 64, "max-num-batched-tokens": 256}, {}),
    ],
)
def test_what_nobody_knows_and_what_fits_is_not_refused(flags: Flags, facts: Flags) -> None:
    assert refusal(ANY, flags, {}, facts=facts) is None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.expression)
def test_a_rule_is_a_valid_expression_that_reads_flags(rule: Any) -> None:
    assert expression(rule.expression).names


def test_a_possible_space_passes() -> None:
    check_possible(
        _space({"max-num-seqs": INT, "max-num-batched-tokens": INT}, "max-num-batched-tokens >= max-num-seqs"), {}
    )


def test_a_narrow_space_is_found_possible_inside() -> None:
    check_possible(_space({"max-num-seqs": INT}, "max-num-seqs > 2000 and max-num-seqs < 2100"), {})


def test_an_impossible_space_says_which_constraint_refutes_how_many() -> None:
    space = _space(
        {
            "max-num-seqs": {"type": "int", "low": 64, "high": 128},
            "max-num-batched-tokens": {"type": "int", "low": 1, "high": 63},
        },
        "max-num-seqs != 64",
    )
    with pytest.raises(InputError) as caught:
        check_possible(space, {}, where="night.yaml: search_space")
    head, *lines = str(caught.value).splitlines()
    assert head == "night.yaml: search_space: no configuration is possible: 4100 were tried, all refused"
    assert lines[0].strip().startswith("4100 of them: vLLM refuses it: a step can't hold")
    assert "of them: the space's constraint max-num-seqs != 64 is violated" in lines[1]


def test_a_space_that_a_fixed_flag_makes_impossible_is_refused() -> None:
    with pytest.raises(InputError, match="max-num-batched-tokens is below max-num-seqs"):
        check_possible(
            _space({"max-num-seqs": {"type": "int", "low": 64, "high": 128}}), {"max-num-batched-tokens": 32}
        )


def test_a_constraint_or_condition_that_cannot_be_evaluated_is_reported_as_such() -> None:
    words = {"type": "categorical", "choices": ["a", "b"]}
    with pytest.raises(InputError, match=r"constraint 'dtype > 3' can't be evaluated"):
        check_possible(_space({"dtype": words}, "dtype > 3"), {})
    conditional = {"type": "int", "low": 1, "high": 2, "only_when": "dtype > 3"}
    with pytest.raises(InputError, match=r"only_when: 'dtype > 3' can't be evaluated"):
        check_possible(_space({"dtype": words, "block-size": conditional}), {})


def test_a_space_of_many_parameters_is_checked_without_trying_every_corner() -> None:
    many = {f"x{n}": {"type": "bool"} for n in range(40)}
    check_possible(_space(many, "x39 or x38"), {})
    with pytest.raises(InputError, match="4608 were tried"):
        check_possible(_space(many, "x39 and not x39"), {})
