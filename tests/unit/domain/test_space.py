from typing import Any

import pytest
from pydantic import ValidationError

from tuner.domain.space import SearchSpace

SEQS = {"type": "int", "low": 1, "high": 64, "log": True}
TOKENS = {"type": "int", "low": 64, "high": 2048}


def _space(parameters: dict[str, Any], constraints: tuple[str, ...] = ()) -> SearchSpace:
    return SearchSpace.model_validate({"parameters": parameters, "constraints": constraints})


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ({"type": "int", "low": 9, "high": 2}, r"low \(9\) is above high \(2\)"),
        ({"type": "int", "low": 0, "high": 2, "log": True}, "log scale starts above 0"),
        ({"type": "int", "low": 1, "high": 2, "log": True, "step": 2}, "log and step exclude"),
        ({"type": "int", "low": 1, "high": 100, "step": 32}, "end at 97, not at 100"),
        ({"type": "int", "low": 1.5, "high": 2}, "integer"),
        ({"type": "int", "low": "1", "high": 2}, "integer"),
        ({"type": "int", "low": True, "high": 2}, "integer"),
        ({"type": "int", "low": 1, "high": 2, "step": 0}, "greater than or equal to 1"),
        ({"type": "float", "low": 0.1, "high": 0.4, "step": 0.07}, "whole number of steps"),
        ({"type": "float", "low": 0.1, "high": float("inf")}, "finite"),
        ({"type": "float", "low": 0.0, "high": 1.0, "log": True}, "log scale starts above 0"),
        ({"type": "float", "low": 0.1, "high": 0.4, "log": True, "step": 0.1}, "log and step exclude"),
        ({"type": "categorical", "choices": []}, "at least 1"),
        ({"type": "categorical", "choices": ["a", "a"]}, "stands twice"),
        ({"type": "categorical", "choices": [64, "64"]}, "stands twice"),
        ({"type": "categorical", "choices": [float("nan")]}, "finite"),
        ({"type": "categorical", "choices": ["a\x00"]}, "control character"),
        ({"type": "bool", "low": 1}, "Extra inputs"),
        ({"type": "intt", "low": 1, "high": 2}, "tag"),
    ],
)
def test_an_impossible_parameter_is_refused(parameter: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        _space({"max-num-seqs": parameter})


def test_one_and_true_are_different_choices() -> None:
    space = _space({"x": {"type": "categorical", "choices": [1, 1.0, True, "auto"]}})
    assert space.model_dump()["parameters"]["x"]["choices"] == (1, 1.0, True, "auto")


def test_a_float_range_may_have_a_decimal_step() -> None:
    assert _space({"gpu-memory-utilization": {"type": "float", "low": 0.1, "high": 0.4, "step": 0.05}})


def test_a_flag_in_two_spellings_is_refused_rather_than_lost() -> None:
    with pytest.raises(ValidationError, match="are the same flag"):
        _space({"max-num-seqs": SEQS, "max_num_seqs": TOKENS})


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(ValidationError):
        _space({})


@pytest.mark.parametrize("name", ["trust-remote-code", "port", "worker-cls", "hf_token", "$(id)", "no-enforce-eager"])
def test_a_forbidden_flag_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        _space({name: {"type": "bool"}})


def test_a_condition_reads_only_parameters_above_it() -> None:
    eager = {"type": "bool"}
    size = {"type": "int", "low": 1, "high": 2, "only_when": "not enforce-eager"}
    assert _space({"enforce-eager": eager, "block-size": size})
    with pytest.raises(ValidationError, match="parameters above it"):
        _space({"block-size": size, "enforce-eager": eager})


def test_a_constraint_reads_only_parameters_of_its_space() -> None:
    with pytest.raises(ValidationError, match="reads max-num-batched-tokens"):
        _space({"max-num-seqs": SEQS}, ("max-num-batched-tokens >= max-num-seqs",))


def test_violated_constraints_are_named_and_omitted_flags_satisfy() -> None:
    space = _space(
        {"max-num-seqs": SEQS, "max-num-batched-tokens": TOKENS}, ("max-num-batched-tokens >= max-num-seqs",)
    )
    assert space.violated({"max-num-seqs": 64, "max-num-batched-tokens": 32}) == space.constraints
    assert space.violated({"max-num-seqs": 64, "max-num-batched-tokens": 64}) == ()
    assert space.violated({"max-num-seqs": 64}) == ()


def test_a_parameter_is_active_only_where_its_condition_holds() -> None:
    space = _space(
        {
            "enforce-eager": {"type": "bool"},
            "optimization-level": {"type": "categorical", "choices": [1, 2], "only_when": "not enforce-eager"},
            "max-cudagraph-capture-size": {
                "type": "categorical", "choices": [128], "only_when": "optimization-level == 2",
            },
        }
    )  # fmt: skip
    assert list(space.active({"enforce-eager": True})) == ["enforce-eager"]
    assert list(space.active({"enforce-eager": False, "optimization-level": 1})) == [
        "enforce-eager",
        "optimization-level",
    ]
    assert list(space.active({"enforce-eager": False, "optimization-level": 2})) == list(space.parameters)


def test_a_space_survives_its_storage() -> None:
    space = _space(
        {"max-num-seqs": SEQS, "x": {"type": "categorical", "choices": [1, 1.0, True, "auto"]}}, ("max-num-seqs > 0",)
    )
    assert SearchSpace.model_validate_json(space.model_dump_json()) == space
