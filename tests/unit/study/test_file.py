import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tuner.domain.errors import InputError
from tuner.domain.flags import serve_command
from tuner.domain.study import StudySpec
from tuner.load.library import shipped_workload, shipped_workloads
from tuner.space.yaml_file import parse_yaml
from tuner.study.file import json_schema, read_study, spec_difference, starter, study_from
from tuner.study.workload import load_workload

MINIMAL = """\
study: night
model: org/model
target_rps: 5
search_space: scheduler
slos: {ttft_p95: 500ms}
"""
RICH = """\
study: night-2
model: ./models/tiny
engine:
  vllm_python: /opt/vllm/bin/python
  flags: --max-model-len 4096 --no-enable-prefix-caching
  env: {OMP_NUM_THREADS: 4, VLLM_LOGGING_LEVEL: INFO}
  gpus: [0, 1]
  port: 8123
  start_timeout: 600
target_rps: 2.5
candidates:
  - --max-num-seqs 256
  - {max_num_seqs: 64, enforce-eager: true}
search_space:
  description: mine
  parameters:
    max_num_seqs: {type: int, low: 1, high: 64, log: true}
    watermark: {type: float, low: 0, high: 0.1, step: 0.05}
    enforce-eager: {type: bool}
    compilation-config.cudagraph_mode: {type: categorical, choices: [NONE, FULL], only_when: not enforce-eager}
  constraints: [max-num-seqs != 3]
workload:
  input_tokens: {type: lognormal, median: 300, sigma: 0.8, low: 16, high: 2048}
  output_tokens: {type: fixed, tokens: 32}
  ignore_eos: false
  prefix: {tokens: {type: uniform, low: 8, high: 16}, share: 0.5, count: 3}
  conversation: {turns: 3, think_time: 2s}
load: {lowest: 0.5, highest: 2, duration: 2min, min_requests: 50, concurrency: [8, 32]}
slos: {ttft_p95: 500ms, tpot_mean: 50, e2e_p99: 20s}
objectives: [ttft_p95]
sampler: {name: random, seed: 3}
budget: {trials: 60, hours: 8, until: 07:00}
"""


def _data(text: str) -> dict[str, Any]:
    return parse_yaml(text.encode(), source="night.yaml")


def _study(text: str = MINIMAL, **changes: object) -> StudySpec:
    return study_from(_data(text) | changes, source="night.yaml", relative_to=Path())


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


def _problems(data: dict[str, Any]) -> list[str]:
    errors = _validator().iter_errors(data)  # pyright: ignore[reportUnknownMemberType]
    return [f"{error.json_path}: {error.message}" for error in errors]


def test_a_study_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "night.yaml"
    path.write_text(RICH)
    spec = read_study(path)
    assert spec.engine.flags == {"max-model-len": 4096, "enable-prefix-caching": False}
    assert spec.engine.env == {"OMP_NUM_THREADS": "4", "VLLM_LOGGING_LEVEL": "INFO"}
    assert spec.candidates[1] == {"max-num-seqs": 64, "enforce-eager": True}
    assert spec.load.duration == 120
    assert [slo.limit for slo in spec.slos] == [0.5, 0.05, 20]
    assert spec.budget.until == "07:00"


def test_a_search_space_is_a_name_a_path_or_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("parameters: {block-size: {type: categorical, choices: [16, 32]}}")
    data = _data(MINIMAL)
    read = {
        written: study_from(data | {"search_space": written}, source="x", relative_to=tmp_path).search_space
        for written in ("scheduler", "scheduler.yaml", "./mine.yaml", "mine.yaml")
    }
    assert read["scheduler"] == read["scheduler.yaml"]
    assert list(read["mine.yaml"].parameters) == list(read["./mine.yaml"].parameters) == ["block-size"]
    assert _study(RICH).search_space.description == "mine"


TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374,44\n"


def test_a_workload_is_a_name_a_path_or_a_mapping_that_may_start_from_another(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: chat\nseed: 7\n")
    data = _data(MINIMAL)
    read = [
        study_from(data | {"workload": written}, source="x", relative_to=tmp_path).workload
        for written in ("chat", "./mine.yaml", "mine.yaml", {"base": "chat", "seed": 7})
    ]
    assert read[0] == load_workload("chat")
    assert read[1] == read[2] == read[3] == read[0].model_copy(update={"seed": 7})


def test_a_trace_is_read_once_and_covered_by_the_context_length(tmp_path: Path) -> None:
    (tmp_path / "azure.csv").write_text(TRACE)
    path = tmp_path / "night.yaml"
    path.write_text(MINIMAL + "workload: {trace: {file: azure.csv, format: azure}}\n")
    spec = read_study(path)
    assert spec.workload.trace is not None
    assert spec.workload.trace.file == str(tmp_path / "azure.csv")
    assert spec.base_flags()["max-model-len"] == 418


def test_a_problem_in_a_file_of_ones_own_space_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("parameters: {block-size: {type: bol}}")
    with pytest.raises(InputError) as caught:
        study_from(_data(MINIMAL) | {"search_space": "./mine.yaml"}, source="night.yaml", relative_to=tmp_path)
    assert str(caught.value) == f"{tmp_path}/mine.yaml: parameters.block-size: unknown type 'bol'; did you mean bool?"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budgett": {}}, "night.yaml: budgett: unknown key; did you mean budget?"),
        ({"model": 5}, "night.yaml: model: must be text, not 5"),
        ({"study": ";rm -rf"}, "night.yaml: study: a study's name has"),
        ({"study": "$(id)"}, "night.yaml: study: a study's name has"),
        ({"study": "../up"}, "night.yaml: study: a study's name has"),
        ({"study": "<script>"}, "night.yaml: study: a study's name has"),
        ({"model": "--flag"}, "night.yaml: model: '--flag' is neither a directory nor a hub name"),
        ({"slos": {"ttft_p95": "-5ms"}}, "night.yaml: slos: the limit of ttft_p95: '-5ms' is not a duration"),
        ({"search_space": "schedular"}, "night.yaml: search_space: there is no search space named 'schedular'; did"),
        ({"search_space": "--flag"}, "night.yaml: search_space: there is no search space named '--flag'"),
        ({"search_space": 5}, "night.yaml: search_space: must be a mapping, not 5"),
        ({"workload": "chatt"}, "night.yaml: workload: there is no workload named 'chatt'; did you mean chat?"),
        ({"workload": 5}, "night.yaml: workload: must be a mapping, not 5"),
        ({"workload": {"base": "chatt"}}, "night.yaml: workload.base: there is no workload named 'chatt'; did you"),
        ({"workload": {"base": "chat", "sed": 1}}, "night.yaml: workload.sed: unknown key; did you mean seed?"),
        (
            {"workload": {"base": "five-lessons", "input_tokens": 5}},
            "night.yaml: workload.input_tokens: has no effect beside chain, which says lengths itself",
        ),
        ({"engine": {"flags": {"<script>": 1}}}, "night.yaml: engine.flags: '<script>' is not a flag name"),
        ({"engine": {"flags": "--max-num-seqs 8; rm -rf /"}}, "night.yaml: engine.flags: 'rm' belongs to no flag"),
        (
            {"search_space": {"parameters": {"block-size": {"type": "bool"}}, "constraints": ["__import__('os')"]}},
            "night.yaml: search_space.constraints[0]: \"__import__('os')\" is no flag name",
        ),
        (
            {"search_space": {"parameters": {"max-num-seqs": {"type": "int", "low": 64, "high": 128}}},
             "engine": {"flags": {"max-num-batched-tokens": 32}}},
            "night.yaml: search_space: no configuration is possible: 4098 were tried",
        ),
    ],
)  # fmt: skip
def test_a_bad_study_is_one_message_with_file_key_and_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        _study(**changes)
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2


def test_the_command_line_is_named_as_such() -> None:
    with pytest.raises(InputError, match="command line: 5 problems"):
        study_from({"target_rps": "x"}, source="command line", relative_to=Path())


@pytest.mark.parametrize(
    "arguments",
    [{}, {"model": "/data/my models/tiny: #1"}, {"model": "true"}, {"search_space": "quickstart", "target_rps": 0.5}],
)
def test_the_starter_file_is_a_valid_study(arguments: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(starter(**arguments))
    spec = read_study(path)
    assert spec.model == arguments.get("model", "Qwen/Qwen3-8B")
    assert spec.target_rps == arguments.get("target_rps", 10)
    assert _problems(_data(starter(**arguments))) == []


def test_the_starter_file_shows_every_section_and_keeps_the_defaults() -> None:
    data = _data(starter())
    assert data.keys() == StudySpec.model_fields.keys()
    spec = study_from(data, source="x", relative_to=Path())
    bare = {key: data[key] for key in ("study", "model", "target_rps", "search_space", "slos", "budget")}
    assert spec == study_from(bare, source="x", relative_to=Path())
    assert all(len(line) <= 120 for line in starter().splitlines())


WORKLOAD_PARTS = ("Workload", "SharedPrefix", "RequestClass", "Conversation", "ChainStep", "Trace", "FixedPause")


def test_the_schema_is_a_schema_and_every_key_has_a_description() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)  # pyright: ignore[reportUnknownMemberType]
    assert json.loads(json.dumps(schema)) == schema
    undescribed = [key for key, field in schema["properties"].items() if not field.get("description")]
    undescribed += [
        f"{name}.{key}"
        for name in ("Engine", "LoadPlan", "Sampler", "Budget", "SearchSpace", "IntParameter", *WORKLOAD_PARTS)
        for key, field in schema["$defs"][name]["properties"].items()
        if key not in {"type", "warmup_concurrency"} and not field.get("description")
    ]
    assert undescribed == []


@pytest.mark.parametrize("text", [MINIMAL, RICH], ids=["minimal", "rich"])
def test_the_schema_accepts_what_the_reader_accepts(text: str) -> None:
    assert _study(text)
    assert _problems(_data(text)) == []


@pytest.mark.parametrize(
    "workload",
    [
        *shipped_workloads(),
        {"base": "chat", "seed": 7},
        {"trace": {"file": "shipped:azure-sample.csv", "format": "azure", "max_tokens": 4096}},
    ],
    ids=str,
)
def test_the_schema_accepts_every_workload_by_name_and_written_out(workload: Any) -> None:
    assert _study(workload=workload)
    assert _problems(_data(MINIMAL) | {"workload": workload}) == []
    if workload in shipped_workloads():
        written = parse_yaml(shipped_workload(workload), source=workload)
        assert _problems(_data(MINIMAL) | {"workload": written}) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"budgett": {}},
        {"model": 5},
        {"study": ";rm"},
        {"target_rps": 0},
        {"slos": {}},
        {"slos": {"ttfb_p95": 1}},
        {"slos": {"ttft_p95": "soon"}},
        {"slos": ["ttft_p95=1s"]},
        {"search_space": 5},
        {"search_space": {"parameters": {}}},
        {"search_space": {"parameters": {"x": {"type": "int", "low": 1}}}},
        {"search_space": {"parameters": {"$(id)": {"type": "bool"}}}},
        {"candidates": ["--x 1", 5]},
        {"engine": {"flags": {"x": []}}},
        {"engine": {"port": 80}},
        {"engine": {"start_timeout": "soon"}},
        {"workload": {"input_tokens": "128"}},
        {"workload": {"input_tokens": {"tokens": 5}}},
        {"workload": {"output_tokens": 0}},
        {"workload": 5},
        {"workload": ""},
        {"workload": {"base": 5}},
        {"workload": {"trace": {"file": "x"}}},
        {"workload": {"prefix": {"tokens": 5, "share": 2}}},
        {"workload": {"conversation": {"turns": 2, "think_time": "soon"}}},
        {"workload": {"conversation": {"turns": 2, "think_time": {"type": "gamma", "mean": 1}}}},
        {"workload": {"chain": [{"name": "a b", "input_tokens": 1, "output_tokens": 1}]}},
        {"workload": {"classes": [{"name": "a", "input_tokens": 1, "output_tokens": 1}]}},
        {"load": {"duration": "1 parsec"}},
        {"objectives": ["capacity"]},
        {"sampler": {"name": "grid"}},
        {"budget": {"until": "25:00"}},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        _study(**changes)
    assert _problems(_data(MINIMAL) | changes) != []


def test_a_study_may_go_on_with_another_budget_port_timeout_or_interpreter() -> None:
    engine = {"port": 9000, "start_timeout": 60, "vllm_python": "/other/python"}
    assert spec_difference(_study(), _study(budget={"trials": 5}, engine=engine)) == ()


def test_candidates_may_be_added_but_not_taken_away() -> None:
    one, two = _study(candidates=["--max-num-seqs 8"]), _study(candidates=["--max-num-seqs 8", "--max-num-seqs 16"])
    assert spec_difference(one, two) == ()
    assert spec_difference(two, one) == ("candidates[1]: {max-num-seqs: 16} -> not set",)
    assert spec_difference(one, _study(candidates=["--max-num-seqs 9"])) == (
        "candidates[0]: {max-num-seqs: 8} -> {max-num-seqs: 9}",
    )


def test_a_trace_may_move_but_not_change(tmp_path: Path) -> None:
    def study(place: str, text: str) -> StudySpec:
        (tmp_path / place).write_text(text)
        trace = {"file": str(tmp_path / place), "format": "azure"}
        return _study(workload={"description": place, "trace": trace})

    old = study("a.csv", TRACE)
    assert spec_difference(old, study("b.csv", TRACE)) == ()
    changed = spec_difference(old, study("b.csv", TRACE.replace("374,44", "374,45")))
    assert [line.split(":")[0] for line in changed] == ["workload.trace.sha256", "workload.trace.longest"]


def _chain(output_tokens: object, before: object) -> dict[str, Any]:
    steps = [
        {"name": "route", "input_tokens": 200, "output_tokens": output_tokens},
        {"name": "retrieve", "before": before},
    ]
    return {"workload": {"chain": steps}}


SPACE = {"parameters": {"max-num-seqs": {"type": "int", "low": 1, "high": 64}}}


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({}, {"workload": {"input_tokens": 256}}, ["workload.input_tokens: 512 -> 256"]),
        ({}, {"workload": {"prefix": {"tokens": 64}}}, [
            "workload.prefix.tokens: not set -> 64", "workload.prefix.share: not set -> 1",
            "workload.prefix.count: not set -> 1",
        ]),
        (_chain(8, "300ms"), _chain(9, "0.2s"), [
            "workload.chain[0].output_tokens: 8 -> 9", "workload.chain[1].before: 0.3 s -> 0.2 s",
        ]),
        ({"target_rps": 5}, {"target_rps": 10}, ["target_rps: 5 -> 10"]),
        ({"slos": {"ttft_p95": "1s"}}, {"slos": {"ttft_p95": 500}}, ["slos.ttft_p95: 1000 ms -> 500 ms"]),
        ({}, {"slos": {"ttft_p95": 500, "tpot_p95": 50}}, ["slos.tpot_p95: not set -> 50 ms"]),
        ({}, {"engine": {"flags": "--dtype half"}}, ["engine.flags.dtype: not set -> half"]),
        ({"engine": {"gpus": [0]}}, {"engine": {"gpus": [0, 1]}}, ["engine.gpus: [0] -> [0, 1]"]),
        ({"engine": {"env": {"A": "1"}}}, {}, ["engine.env.A: 1 -> not set"]),
        ({}, {"sampler": {"seed": 1}}, ["sampler.seed: 0 -> 1"]),
        ({}, {"load": {"highest": 2}}, ["load.highest: 4 -> 2"]),
        ({}, {"objectives": ["ttft_p99"]}, ["objectives: [capacity_rps, ttft_p95] -> [ttft_p99]"]),
        (
            {"search_space": SPACE},
            {"search_space": SPACE | {"description": "new words", "constraints": ["max-num-seqs > 1"]}},
            ["search_space.constraints: [] -> [max-num-seqs > 1]"],
        ),
        (
            {"model": "a"},
            {"model": "b", "workload": {"ignore_eos": False}},
            ["model: a -> b", "workload.ignore_eos: true -> false"],
        ),
    ],
)  # fmt: skip
def test_every_key_that_must_stay_is_named_with_both_values(
    old: dict[str, Any], new: dict[str, Any], lines: list[str]
) -> None:
    assert spec_difference(_study(**old), _study(**new)) == tuple(lines)


def test_a_study_does_not_differ_from_its_stored_self() -> None:
    spec = _study(RICH)
    assert spec_difference(spec, StudySpec.model_validate_json(spec.model_dump_json())) == ()


def test_candidates_are_offered_back_as_a_line_to_copy() -> None:
    assert serve_command("m", _study(RICH).candidates[1]) == "vllm serve m --enforce-eager --max-num-seqs=64"
