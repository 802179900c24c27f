"""The plan against what users of vLLM have published of GPUs, each with its source in published.toml."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.shapes import GIB, make_device
from tuner.domain.plan import Demand, Deployment, Plan
from tuner.models.shape import model_shape
from tuner.plan.planner import make_plan

TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("published.toml").read_text(encoding="utf-8"))
RUNS: list[dict[str, Any]] = TABLE["run"]
SETTINGS = ("max_model_len", "max_num_seqs", "max_num_batched_tokens", "enforce_eager", "tensor_parallel")
NAMES = [f"{run['model']} on {run['gpu']}, vLLM {run['vllm']}" for run in RUNS]


def planned(run: dict[str, Any]) -> Plan:
    model = model_shape(TABLE["models"][run["model"]], name=run["model"], where="published.toml")
    device = make_device(name=run["gpu"].lower(), title=run["gpu"], memory_bytes=round(run["memory"] * GIB))
    deployment = Deployment(
        gpu_memory_utilization=run["utilization"],
        vllm_version=run["vllm"],
        **{name: run[name] for name in SETTINGS if name in run},
    )
    return make_plan(model, device, deployment, Demand())


def test_there_are_enough_runs_to_judge_by():
    assert len(RUNS) >= 8


@pytest.mark.parametrize("run", RUNS, ids=NAMES)
def test_kv_memory_is_right_within_five_per_cent(run: dict[str, Any]):
    plan = planned(run)
    assert plan.kv_budget_bytes / plan.gpus / GIB == pytest.approx(run["kv"], rel=0.05)


@pytest.mark.parametrize("run", RUNS, ids=NAMES)
def test_weights_are_right_within_five_per_cent(run: dict[str, Any]):
    plan = planned(run)
    assert plan.weights_bytes / plan.gpus / GIB == pytest.approx(run["weights"], rel=0.05)


@pytest.mark.parametrize("run", [run for run in RUNS if "tokens" in run], ids=lambda run: run["model"])
def test_kv_tokens_are_right_within_five_per_cent(run: dict[str, Any]):
    assert planned(run).kv_tokens == pytest.approx(run["tokens"], rel=0.05)
