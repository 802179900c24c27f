"""The bad-input table: one clear message, the right exit code, no traceback, and the result file as it was."""

import json
import socket
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.workbench import Workbench


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A bench with one finished study of one trial."""
    bench = Workbench(tmp_path_factory.mktemp("measured"))
    done = bench.tuner("run", bench.study(budget={"trials": 1}))
    assert done.returncode == 0, done.stderr
    return bench


def refused(bench: Workbench, code: int, *texts: str, arguments: tuple[str | Path, ...]) -> None:
    """Run a command that must be refused; check its code, its words, and that no file changed."""
    before = bench.database.read_bytes() if bench.database.exists() else None
    done = bench.tuner(*arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in done.stderr
    assert (bench.database.read_bytes() if bench.database.exists() else None) == before


@pytest.mark.parametrize("model", ["./nowhere", "/models/missing"])
def test_a_missing_model(measured: Workbench, model: str):
    study = measured.study(name="other", model=model)
    refused(measured, 2, model, arguments=("run", study))


def test_a_flag_that_the_engine_does_not_have(measured: Workbench):
    engine = {"vllm_python": str(measured.vllm_python), "flags": {"max-num-seq": 3}}
    study = measured.study(name="other", engine=engine)
    refused(measured, 2, "engine.flags", "--max-num-seq;", "max-num-seqs", arguments=("run", study))


def test_a_tuned_flag_that_the_engine_does_not_have(measured: Workbench):
    space = {"parameters": {"max-nums": {"type": "int", "low": 1, "high": 2}}}
    study = measured.study(name="other", search_space=space)
    refused(measured, 2, "search_space", "max-nums", arguments=("check", study))


def test_an_impossible_range(measured: Workbench):
    space = {"parameters": {"max-num-seqs": {"type": "int", "low": 9, "high": 2}}}
    study = measured.study(name="other", search_space=space)
    refused(measured, 2, "other.yaml", "max-num-seqs", "above high", arguments=("run", study))


def test_a_space_without_any_possible_point(measured: Workbench):
    space = {
        "parameters": {
            "max-num-seqs": {"type": "int", "low": 100, "high": 200},
            "max-num-batched-tokens": {"type": "int", "low": 10, "high": 20},
        },
        "constraints": ["max-num-batched-tokens >= max-num-seqs"],
    }
    study = measured.study(name="other", search_space=space)
    refused(measured, 2, "max-num-batched-tokens >= max-num-seqs", arguments=("run", study))


def test_a_candidate_with_fewer_batched_tokens_than_sequences(measured: Workbench):
    study = measured.study(name="other", candidates=["--max-num-seqs 64 --max-num-batched-tokens 8"])
    refused(measured, 2, "candidates[0]", "must be greater than or equal to", arguments=("run", study))


def test_an_unknown_key_with_the_nearest_valid_one(measured: Workbench):
    study = measured.study(name="other", slo={"ttft_p95": "500ms"})
    refused(measured, 2, "other.yaml", "slo", "slos", arguments=("run", study))


def test_a_port_in_use(measured: Workbench):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        engine = {"vllm_python": str(measured.vllm_python), "port": port}
        study = measured.study(name="other", engine=engine)
        refused(measured, 3, str(port), arguments=("run", study))


def _text_file(path: Path) -> None:
    path.write_text("these are my notes, not a database\n" * 100)


def _other_application(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("make", [_text_file, _other_application])
@pytest.mark.parametrize("command", ["run", "best"])
def test_a_file_that_is_no_result_file(tmp_path: Path, make: Callable[[Path], None], command: str):
    bench = Workbench(tmp_path)
    make(bench.database)
    arguments = ("run", bench.study()) if command == "run" else ("best", "--target-rps", "2")
    refused(bench, 2, "results.db", arguments=arguments)


@pytest.mark.parametrize("command", ["run", "best"])
def test_a_damaged_result_file(measured: Workbench, tmp_path: Path, command: str):
    bench = Workbench(tmp_path)
    whole = measured.database.read_bytes()
    bench.database.write_bytes(whole[: len(whole) // 2])
    arguments = ("run", bench.study()) if command == "run" else ("best", "--target-rps", "2")
    refused(bench, 3, "results.db", arguments=arguments)


def test_a_directory_that_cannot_be_written(tmp_path: Path):
    bench = Workbench(tmp_path)
    study = bench.study()
    refused(bench, 3, "/proc", arguments=("run", study, "--db", "/proc/results.db"))


def test_a_study_of_that_name_with_another_space_or_workload(measured: Workbench):
    space = {"parameters": {"max-num-seqs": {"type": "int", "low": 1, "high": 99}}}
    study = measured.study(search_space=space, workload={"input_tokens": 64, "output_tokens": 8})
    refused(measured, 2, "night", "search_space", "workload.input_tokens: 32 -> 64", arguments=("run", study))


def test_no_interpreter_with_vllm(measured: Workbench):
    study = measured.study(name="other", engine={})
    refused(measured, 3, "vLLM", "--vllm-python", arguments=("run", study))


def test_an_interpreter_without_vllm(measured: Workbench):
    study = measured.study(name="other", engine={"vllm_python": "/usr/bin/env"})
    refused(measured, 3, "/usr/bin/env", arguments=("run", study))


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (("best", "--target-rps", "2", "--slo", "ttft=5"), ("--slo", "ttft")),
        (("best", "--target-rps", "2", "--slo", "ttft_p95"), ("--slo", "ttft_p95=500ms")),
        (("best", "--target-rps", "2", "--study", "day"), ("day", "night")),
        (("show", "99"), ("99", "tuner trials")),
        (("pareto", "--metric", "ttft_p95"), ("two or three",)),
        (("pareto", "--metric", "ttft_p95", "--metric", "speed"), ("speed",)),
        (("resume", "day"), ("day", "night")),
        (("run",), ("--model",)),
        (("run", "nowhere.yaml"), ("nowhere.yaml",)),
        (("run", "--model", "tiny"), ("search_space", "slos")),
        (("init", "night.yaml"), ("night.yaml", "--force")),
    ],
)
def test_words_that_make_no_sense(measured: Workbench, arguments: tuple[str, ...], texts: tuple[str, ...]):
    measured.study()
    refused(measured, 2, *texts, arguments=arguments)


def test_an_answer_from_a_file_that_is_not_there(tmp_path: Path):
    refused(Workbench(tmp_path), 2, "results.db", arguments=("best", "--target-rps", "2"))


def test_hostile_names_start_nothing_and_become_no_flag(measured: Workbench):
    for name in (";rm -rf x", "$(id)", "--help", "../up", "<script>"):
        path = measured.directory / "hostile.yaml"
        path.write_text(json.dumps({"study": name, "model": "tiny", "search_space": "quickstart", "slos": {}}))
        refused(measured, 2, "hostile.yaml", arguments=("run", path))


def test_a_new_result_file_is_the_user_s_alone(measured: Workbench):
    assert stat.S_IMODE(measured.database.stat().st_mode) == 0o600
