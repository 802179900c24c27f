"""`tuner plan` and `tuner gpus`: answers before a launch, from model directories without weights."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.workbench import ROOT, Workbench
from tuner.devices.catalogue import devices

QWEN3_8B: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
HEAVY = {
    "numpy", "optuna", "sqlalchemy", "alembic", "torch", "transformers", "huggingface_hub", "ruamel", "httpx", "psutil",
}  # fmt: skip
GPU = ("--gpu", "h100-sxm")
PROMISED = {
    "weights_bytes", "kv_bytes_per_token", "kv_bytes_per_sequence", "kv_budget_bytes", "max_sequences", "expected_rps",
    "suggested", "binding", "fits",
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A directory with the tiny model and an 8B model's configuration."""
    bench = Workbench(tmp_path_factory.mktemp("plan"))
    write_model(bench, "qwen3-8b")
    return bench


def write_model(bench: Workbench, name: str, **changes: Any) -> None:
    (bench.directory / name).mkdir()
    (bench.directory / name / "config.json").write_text(json.dumps(QWEN3_8B | changes))


def plan(bench: Workbench, *arguments: str | Path) -> Any:
    return bench.json("plan", "--model", "qwen3-8b", *arguments)


def refused(bench: Workbench, *arguments: str | Path) -> str:
    """Run a command that must be refused as wrong input, and return what it said."""
    done = bench.tuner("plan", *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_plan_answers_with_all_that_is_promised(bench: Workbench):
    found = plan(bench, *GPU)
    assert set(found) >= PROMISED
    assert found["fits"] is True
    assert found["kv_bytes_per_token"] == 2 * 8 * 128 * 36 * 2
    assert found["weights_bytes"] == pytest.approx(2 * 8.19e9, rel=0.01)
    assert 0 < found["expected_rps"]["low"] < found["expected_rps"]["high"]
    assert isinstance(found["suggested"]["max_num_seqs"], int)
    assert set(found["suggested"]["why"]) == {"max_num_seqs", "max_num_batched_tokens"}
    assert found["device_figures"]["sources"]


def test_options_act_on_the_answer(bench: Workbench):
    base = plan(bench, *GPU)
    assert plan(bench, *GPU, "--kv-cache-dtype", "fp8")["kv_bytes_per_token"] == base["kv_bytes_per_token"] / 2
    assert plan(bench, *GPU, "--gpu-memory-utilization", "0.5")["kv_budget_bytes"] < base["kv_budget_bytes"] / 1.5
    assert plan(bench, *GPU, "--dtype", "float32")["weights_bytes"] == 2 * base["weights_bytes"]
    assert plan(bench, *GPU, "--tp", "2")["gpus"] == 2
    assert plan(bench, *GPU, "--vllm-version", "0.11.2")["kv_budget_bytes"] < base["kv_budget_bytes"]
    assert plan(bench, *GPU, "--max-model-len", "16k")["deployment"]["max_model_len"] == 16_000
    assert plan(bench, *GPU, "--input-tokens", "2000")["max_sequences"] < base["max_sequences"] / 3
    assert plan(bench, *GPU, "--slo", "tpot_p95=40ms")["demand"]["slos"] == ["tpot_p95 ≤ 40.0 ms"]


def test_a_model_may_be_named_by_its_config(bench: Workbench):
    by_file = bench.json("plan", "--model", "qwen3-8b/config.json", *GPU)
    assert by_file["weights_bytes"] == plan(bench, *GPU)["weights_bytes"]


def test_several_gpus_are_answered_side_by_side(bench: Workbench):
    found = plan(bench, "--gpu", "l4", "--gpu", "h100-sxm", "--max-model-len", "4096")
    assert [each["device"] for each in found["plans"]] == ["l4", "h100-sxm"]
    done = bench.tuner("plan", "--model", "qwen3-8b", "--gpu", "l4", "--gpu", "h100-sxm")
    heads = next(line for line in done.stdout.splitlines() if line.startswith("memory"))
    assert heads.split()[1:3] == ["l4", "h100-sxm"]
    assert "\x1b" not in done.stdout


def test_a_model_that_does_not_fit_is_an_answer_with_what_would(bench: Workbench):
    found = plan(bench, "--gpu", "t4")
    assert found["fits"] is False
    assert found["kv_budget_bytes"] < 0
    assert found["remedies"]
    assert found["suggested"] is None
    done = bench.tuner("plan", "--model", "qwen3-8b", "--gpu", "t4")
    assert done.returncode == 0
    assert "does not fit: " in done.stdout
    assert "would fit: " in done.stdout


def test_without_a_gpu_the_plan_is_for_this_machine(bench: Workbench):
    found = bench.json("plan", "--model", "tiny")
    assert found["device_figures"]["sources"][-1].endswith("measured here")
    if found["device"] == "cpu":
        assert found["deployment"]["gpu_memory_utilization"] == 0.3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a model, or a study file"),
        (("--model", "./nowhere"), "./nowhere"),
        (("--model", "empty"), "no config.json"),
        (("--model", "unknown"), "no_such"),
        (("--model", "broken"), "broken"),
        (("--model", "qwen3-8b", "--gpu", "h100"), "did you mean h100-pcie or h100-sxm or h100-nvl?"),
        (("--model", "qwen3-8b", *GPU, "--input-tokens", "-5"), "--input-tokens: must be above 0"),
        (("--model", "qwen3-8b", *GPU, "--output-tokens", "0"), "--output-tokens: must be above 0"),
        (("--model", "qwen3-8b", *GPU, "--rps", "nan"), "--rps: must be above 0"),
        (("--model", "qwen3-8b", *GPU, "--rps", "many"), "--rps"),
        (("--model", "qwen3-8b", *GPU, "--slo", "ttft=5"), "--slo"),
        (("--model", "qwen3-8b", *GPU, "--dtype", "bf17"), "bf17"),
        (("--model", "qwen3-8b", *GPU, "--kv-cache-dtype", "fp9"), "fp9"),
        (("--model", "qwen3-8b", *GPU, "--tp", "3"), "32"),
        (("--model", "qwen3-8b", *GPU, "--tp", "0"), "tensor-parallel-size: must be at least 1"),
        (("--model", "qwen3-8b", *GPU, "--pp", "37"), "36 layers"),
        (("--model", "qwen3-8b", *GPU, "--max-model-len", "99999"), "40,960"),
        (("--model", "qwen3-8b", *GPU, "--max-model-len", "long"), "max-model-len: must be a whole number"),
        (("--model", "qwen3-8b", *GPU, "--gpu-memory-utilization", "1.2"), "must be at most 1"),
        (("--model", "qwen3-8b", *GPU, "--input-tokens", "50000"), "40,960"),
        (("--model", "qwen3-8b", *GPU, "--vllm-version", "new"), "--vllm-version: 'new' is no version"),
        (("nowhere.yaml", *GPU), "nowhere.yaml"),
    ],
)  # fmt: skip
def test_wrong_input_says_what_is_missing_and_has_no_traceback(bench: Workbench, arguments: tuple[str, ...], said: str):
    assert said in refused(bench, *arguments)


@pytest.fixture(scope="module", autouse=True)
def wrong_models(bench: Workbench):
    (bench.directory / "empty").mkdir()
    (bench.directory / "unknown").mkdir()
    (bench.directory / "unknown" / "config.json").write_text('{"model_type": "no_such", "hidden_size": 64}')
    (bench.directory / "broken").mkdir()
    (bench.directory / "broken" / "config.json").write_text("{")


def test_a_study_says_its_time_before_it_has_run(bench: Workbench):
    study = bench.study(name="new", budget={"hours": 1.0})
    found = bench.json("plan", study, *GPU)
    assert set(found) >= PROMISED
    assert found["model"].endswith("tiny")
    assert found["demand"]["rps"] == 20
    assert found["deployment"]["max_model_len"] == 40
    course = found["study"]
    assert course["ends_by"] == "hours"
    assert {course[name]["basis"] for name in ("start_up_s", "load_s", "trial_s", "gpu_hours")} == {"expected"}
    assert course["gpu_hours"]["value"] == pytest.approx(1.0, abs=0.05)
    assert not bench.database.exists()


def test_a_study_that_has_run_says_what_it_measured(bench: Workbench):
    stored = shutil.copy(ROOT / "results.db", bench.directory / "stored.db")
    study = bench.study(name="quickstart", budget={"trials": 100})
    course = bench.json("plan", study, *GPU, "--db", stored)["study"]
    assert course["done"] >= 1
    assert course["launches"]["value"] == 100 - course["done"]
    assert {course[name]["basis"] for name in ("start_up_s", "load_s", "trial_s", "seconds")} == {"measured"}
    shown = bench.tuner("plan", study, *GPU, "--db", stored).stdout
    assert f"Study quickstart: {course['done']} trials done · {100 - course['done']} trials in " in shown


def test_options_are_laid_over_a_study(bench: Workbench):
    study = bench.study(name="new")
    found = bench.json("plan", study, "--model", "qwen3-8b", "--gpu", "h200", "--rps", "3", "--max-num-seqs", "64")
    assert found["device"] == "h200"
    assert found["demand"]["rps"] == 3
    assert found["deployment"]["max_num_seqs"] == 64
    assert found["parameters"] > 8e9


def test_the_gpus_are_listed_with_their_sources(bench: Workbench):
    listed = bench.json("gpus")
    assert [each["name"] for each in listed] == list(devices())
    assert all(each["sources"] for each in listed)
    shown = bench.tuner("gpus").stdout
    assert "NVIDIA H100 Tensor Core GPU" in shown
    for name in devices():
        assert f"\n{name} " in shown


def test_a_plan_imports_nothing_heavy(bench: Workbench):
    program = (
        "import sys; from tuner.cli.main import app; "
        "app(['plan', '--model', 'qwen3-8b', '--gpu', 'h100-sxm', '--json'], standalone_mode=False); "
        f"print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=bench.directory, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
