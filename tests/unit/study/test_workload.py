from pathlib import Path
from typing import Any

import pytest

from tuner.domain.errors import InputError
from tuner.domain.lengths import FixedLength
from tuner.domain.workload import Workload
from tuner.load.library import SHIPPED, shipped_workloads
from tuner.load.traces import read_trace
from tuner.study.workload import load_workload, workload_data

TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374,44\n"


@pytest.mark.parametrize("name", shipped_workloads())
def test_a_shipped_workload_is_valid_and_says_what_it_is(name: str):
    workload = load_workload(name)
    assert workload.description
    assert 0 < workload.longest_request <= 8192
    assert Workload.model_validate_json(workload.model_dump_json()) == workload


def test_no_two_shipped_workloads_are_the_same():
    assert len({load_workload(name).identity for name in shipped_workloads()}) == len(shipped_workloads())


@pytest.mark.parametrize("name", [name for name in shipped_workloads() if name.endswith("-sample")])
def test_a_shipped_trace_is_told_by_name_not_by_path_and_can_be_read_again(name: str):
    trace = load_workload(name).trace
    assert trace is not None
    assert trace.file.startswith(SHIPPED)
    assert len(read_trace(trace)) == trace.requests >= 20


def test_every_kind_of_length_and_of_workload_is_shipped():
    told = "".join(load_workload(name).model_dump_json(exclude_none=True) for name in shipped_workloads())
    for kind in (
        "fixed",
        "uniform",
        "normal",
        "lognormal",
        "empirical",
        "exponential",
        "mooncake",
        "azure",
        "burstgpt",
    ):
        assert f'"{kind}"' in told, kind
    assert load_workload("five-lessons").chain[1].is_call is False
    assert [one.weight for one in load_workload("chat-and-summarise").classes] == [70, 30]
    assert load_workload("conversation").conversation is not None
    assert load_workload("system-prompt").prefix is not None


def test_a_workload_is_a_name_a_file_or_a_path(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("input_tokens: 5\n")
    (tmp_path / "chat.yml").write_text("input_tokens: 6\n")
    assert load_workload("chat", relative_to=tmp_path) == load_workload("chat.yaml")
    for written in ("mine.yaml", "./mine.yaml", str(tmp_path / "mine.yaml")):
        assert load_workload(written, relative_to=tmp_path).input_tokens == FixedLength(tokens=5)
    assert load_workload("chat.yml", relative_to=tmp_path).input_tokens == FixedLength(tokens=6)


def test_a_file_in_the_current_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine.yaml").write_text("input_tokens: 5\n")
    monkeypatch.chdir(tmp_path)
    assert load_workload("mine.yaml").input_tokens == FixedLength(tokens=5)


def test_a_trace_lies_beside_the_file_that_names_it_and_is_found_from_everywhere(tmp_path: Path):
    (tmp_path / "azure.csv").write_text(TRACE)
    (tmp_path / "mine.yaml").write_text("trace: {file: azure.csv, format: azure}\n")
    trace = load_workload(str(tmp_path / "mine.yaml")).trace
    assert trace is not None
    assert trace.file == str(tmp_path / "azure.csv")
    assert (trace.requests, trace.longest) == (1, 418)


def test_the_same_trace_is_the_same_workload_wherever_it_lies(tmp_path: Path):
    found: list[Workload] = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / f"{place}.csv").write_text(TRACE)
        (tmp_path / place / "mine.yaml").write_text(f"trace: {{file: {place}.csv, format: azure}}\n")
        found.append(load_workload("./mine.yaml", relative_to=tmp_path / place))
    assert found[0] != found[1]
    assert found[0].identity == found[1].identity


def test_a_workload_can_start_from_another_one(tmp_path: Path):
    (tmp_path / "seventh.yaml").write_text("base: chat\nseed: 7\n")
    (tmp_path / "short.yaml").write_text("base: ./seventh.yaml\noutput_tokens: 16\n")
    chat, short = load_workload("chat"), load_workload("./short.yaml", relative_to=tmp_path)
    assert short == chat.model_copy(update={"seed": 7, "output_tokens": FixedLength(tokens=16)})
    assert short.identity != chat.identity


def test_a_base_keeps_its_own_trace(tmp_path: Path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "azure.csv").write_text(TRACE)
    (tmp_path / "below" / "base.yaml").write_text("trace: {file: azure.csv, format: azure}\n")
    (tmp_path / "mine.yaml").write_text("base: below/base.yaml\nignore_eos: false\n")
    trace = load_workload("./mine.yaml", relative_to=tmp_path).trace
    assert trace is not None
    assert trace.file == str(tmp_path / "below" / "azure.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input_token: 5", "{file}: input_token: unknown key; did you mean input_tokens?"),
        ("input_tokens: {type: normal, mean: 5, high: 9}", "{file}: input_tokens.sd: is missing"),
        ("seed: -1", "{file}: seed: must be at least 0, not -1"),
        ("chain: [{name: a, input_tokens: 5}]", "{file}: chain[0]: step a: a model call needs input_tokens and"),
        ("chain: [{name: a, before: 1s}]", "{file}: chain: no step calls the model"),
        ("chain: [{name: a, before: soon}]", "{file}: chain[0].before: 'soon' is not a duration"),
        ("classes: [{name: a, weight: 0, input_tokens: 1, output_tokens: 1}]", "{file}: classes[0].weight: must be"),
        ("prefix: {tokens: 5, share: 2}", "{file}: prefix.share: must be at most 1, not 2"),
        ("conversation: {turns: 2, think_time: {type: gamma}}", "{file}: conversation.think_time: unknown type"),
        ("trace: {file: x.csv, format: azur}", "{file}: trace.format: must be 'mooncake', 'azure', "),
        ("trace: {file: gone.csv, format: azure}", "{directory}/gone.csv: there is no such file"),
        ("trace: {file: azure.csv, format: mooncake}", "{directory}/azure.csv:1: is not valid JSON"),
        ("trace: {file: azure.csv, format: azure, sha256: 0a}", "{directory}/azure.csv: has changed"),
        ("trace: azure.csv", "{file}: trace: must be a mapping, not 'azure.csv'"),
        ("trace: {file: azure.csv, format: azure}\ninput_tokens: 5", "{file}: input_tokens: has no effect beside"),
        ("base: five-lessons\nprefix: {tokens: 5}", "{file}: prefix: has no effect beside chain"),
        ("base: chatt", "{file}: base: there is no workload named 'chatt'; did you mean chat?"),
        ("base: 5", "{file}: base: must be the name or the path of a workload"),
        ("base: ./mine.yaml", "{file}: base: leads back to this file"),
        ("base: ./broken.yaml\nseed: 3", "{directory}/broken.yaml: seed: must be a whole number, not 'x'"),
        ("base: ../{name}/mine.yaml", "{directory}/../{name}/mine.yaml: base: leads back to this file"),
        ("seed: 1\nseed: 2", "{file}:2: the key stands twice: seed"),
        ("", "{file}: is empty"),
    ],
)  # fmt: skip
def test_a_bad_workload_is_one_message_with_file_key_and_reason(text: str, message: str, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("{name}", tmp_path.name))
    (tmp_path / "azure.csv").write_text(TRACE)
    (tmp_path / "broken.yaml").write_text("seed: x\n")
    with pytest.raises(InputError) as caught:
        load_workload(str(file))
    wanted = message.replace("{file}", str(file)).replace("{directory}", str(tmp_path))
    assert str(caught.value).startswith(wanted.replace("{name}", tmp_path.name))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("written", ["chatt", "chatt.yaml", "--flag", ""])
def test_an_unknown_name_gets_the_nearest_ones(written: str):
    with pytest.raises(InputError, match="there is no workload named") as caught:
        load_workload(written)
    assert "shipped are azure-sample, " in caught.value.advice


def test_what_is_written_stays_as_it_is():
    written: dict[str, Any] = {"base": "tiny", "trace": None}
    workload_data(written, where="x: ", relative_to=Path())
    assert written == {"base": "tiny", "trace": None}
