from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tuner.domain.errors import InputError
from tuner.domain.problems import dotted, explain, nearest
from tuner.domain.space import SearchSpace
from tuner.domain.study import StudySpec

SEQS = {"type": "int", "low": 1, "high": 64}
GOOD: dict[str, Any] = {
    "study": "night",
    "model": "org/model",
    "target_rps": 5,
    "search_space": {"parameters": {"max-num-seqs": SEQS}},
    "slos": {"ttft_p95": "500ms"},
}


def _explained(data: object, model: type[BaseModel] = StudySpec) -> InputError:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return explain(caught.value, source="night.yaml", model=model)


def _space_with(**parameter: object) -> dict[str, Any]:
    return {"search_space": {"parameters": {"max-num-seqs": parameter}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modle": "x"}, "modle: unknown key; did you mean model?"),
        ({"engine": {"start-timeout": 1}}, "engine.start-timeout: unknown key; did you mean start_timeout?"),
        ({"budget": {"zzz": 1}}, "budget.zzz: unknown key; known are trials, hours, until"),
        ({"target_rps": "fast"}, "target_rps: must be a number, not 'fast'"),
        ({"target_rps": 0}, "target_rps: must be above 0, not 0"),
        ({"study": 5}, "study: must be text, not 5"),
        ({"engine": None}, "engine: must be a mapping, not empty"),
        ({"engine": {"port": 80}}, "engine.port: must be at least 1024, not 80"),
        ({"engine": {"flags": {"x": [1]}}}, "engine.flags.x: must be true, false, a number or text, not a list"),
        ({"engine": {"flags": {2: 1}}}, "engine.flags.2: must be text, not 2"),
        ({"candidates": [{"x": 1}, {"x": None}]}, "candidates[1].x: must be true, false, a number or text, not empty"),
        ({"candidates": "--x 1"}, "candidates: must be a list, not '--x 1'"),
        ({"sampler": {"name": "tpa"}}, "sampler.name: must be 'tpe', 'random' or 'gp', not 'tpa'"),
        ({"objectives": ["capacity"]}, "objectives[0]: 'capacity' is no objective (nearest: capacity_rps)"),
        ({"slos": {"ttft_p59": "1s"}}, "slos: 'ttft_p59' is no latency percentile (nearest: ttft_p9"),
        ({"slos": {"ttft_p95": "soon"}}, "slos: the limit of ttft_p95: 'soon' is not a duration"),
        ({"budget": {"hours": float("inf")}}, "budget.hours: must be a finite number, not inf"),
        ({"workload": {"input_tokens": 0}}, "workload.input_tokens.tokens: must be at least 1, not 0"),
        (
            {"workload": {"input_tokens": {"type": "uniform", "low": 9, "high": 2}}},
            "workload.input_tokens: low (9) is above high (2)",
        ),
        ({"workload": {"input_tokens": {"tokens": 9}}}, "workload.input_tokens: needs a type: one of fixed, uniform"),
        (_space_with(type="int", low=5, high=2), "search_space.parameters.max-num-seqs: low (5) is above high (2)"),
        (_space_with(type="int", low="5", high=9), "max-num-seqs.low: must be a whole number, not '5'"),
        (_space_with(type="int", low=1, hihg=9, high=9), "max-num-seqs.hihg: unknown key; did you mean high?"),
        (_space_with(type="int", low=1), "search_space.parameters.max-num-seqs.high: is missing"),
        (_space_with(type="itn"), "max-num-seqs: unknown type 'itn'; did you mean int?"),
        (_space_with(low=1), "max-num-seqs: needs a type: one of int, float, categorical, bool"),
        (_space_with(type="int", low=1, high=9, only_when="open('x')"), "max-num-seqs.only_when: a call can't be used"),
        (
            _space_with(type="categorical", choices=["a", None]),
            "max-num-seqs.choices[1]: must be true, false, a number",
        ),
        (
            {"search_space": {"parameters": {"hf-token": {"type": "bool"}}}},
            "hf-token: hf-token is a secret: export HF_TOKEN",
        ),
        ({"search_space": {"parameters": {"$(id)": {"type": "bool"}}}}, "parameters.$(id): '$(id)' is not a flag name"),
        ({"search_space": {"parameters": {"x": 5}}}, "search_space.parameters.x: must be a mapping, not 5"),
    ],
)
def test_a_problem_has_its_file_its_key_and_a_plain_reason(changes: dict[str, Any], message: str) -> None:
    error = _explained(GOOD | changes)
    assert error.where == "night.yaml"
    assert message in str(error)
    assert str(error).count("\n") == 0


@pytest.mark.parametrize("changes", [{"engine": {"flags": {"x": [1]}}}, _space_with(type="int", low="5", hihg=9)])
def test_no_word_of_pydantic_reaches_the_person(changes: dict[str, Any]) -> None:
    text = str(_explained(GOOD | changes))
    for word in ("int.", ".int", "IntParameter", "function", "pydantic", "Input should", "[type=", "Literal", "str]"):
        assert word not in text


def test_several_problems_are_one_error_with_a_line_each() -> None:
    error = _explained({"study": ";rm", "modle": "x", "slos": {}, "search_space": {"parameters": {}}})
    assert error.exit_code == 2
    head, *lines = str(error).splitlines()
    assert head == "night.yaml: 5 problems"
    assert sorted(line.split(":")[0].strip() for line in lines) == [
        "model",
        "modle",
        "search_space.parameters",
        "slos",
        "study",
    ]


def test_a_hundred_problems_are_not_all_shown() -> None:
    error = _explained(GOOD | {f"key{number}": 1 for number in range(100)})
    assert len(str(error).splitlines()) == 22
    assert str(error).endswith("and 80 more")


def test_a_huge_or_unprintable_value_is_cut_short() -> None:
    error = _explained(GOOD | {"\x1b[31m" + "x" * 10_000: 1, "target_rps": "y" * 10_000})
    assert len(str(error)) < 600
    assert "\x1b" not in str(error)


def test_another_model_is_explained_by_its_own_keys() -> None:
    error = _explained({"parameters": {"max-num-seqs": SEQS}, "constraint": []}, SearchSpace)
    assert str(error) == "night.yaml: constraint: unknown key; did you mean constraints?"


def test_keys_are_dotted_and_positions_stand_in_brackets() -> None:
    assert dotted(["engine", "flags", "max-num-seqs"]) == "engine.flags.max-num-seqs"
    assert dotted(["candidates", 0, "x"]) == "candidates[0].x"


def test_the_nearest_name_is_found_whatever_its_hyphens_and_case() -> None:
    assert nearest("Target-RPS", ["target_rps", "study"]) == "did you mean target_rps?"
    assert nearest("zzz", ["a", "b"]) == "known are a, b"
