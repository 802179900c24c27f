"""A capacity of the real vLLM found twice: two studies of trial 0 alone, each a launch and a seed of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tuner.domain.measurement import Capacity
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader

_ROOT = Path(__file__).parents[3]


def found_twice(vllm_python: Path, seconds: float, tolerance: float) -> list[Capacity]:
    """Return the capacities that two studies of the quickstart's model and workload find.

    Args:
        vllm_python: the interpreter that has vLLM.
        seconds: the time budget of each search.
        tolerance: when a search may end earlier.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        subprocess.run([sys.executable, _ROOT / "scripts/make-tiny-model", directory / "tiny"], check=True)
        return [_found(directory, _study(f"run-{seed}", seed, vllm_python, seconds, tolerance)) for seed in (1, 2)]


def _found(directory: Path, study: dict[str, Any]) -> Capacity:
    file = directory / f"{study['study']}.yaml"
    file.write_text(json.dumps(study), encoding="utf-8")  # JSON is YAML
    subprocess.run([sys.executable, "-m", "tuner", "run", file], cwd=directory, env=_environment(), check=True)
    with open_reader(DatabaseLocation.parse(str(directory / "results.db"))) as reader:
        stored = reader.study(study["study"])
        assert stored is not None
        (trial,) = reader.trials(stored.id)
    assert trial.capacity is not None
    return trial.capacity


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT), "HF_HUB_OFFLINE": "1"}


def _study(name: str, seed: int, vllm_python: Path, seconds: float, tolerance: float) -> dict[str, Any]:
    return {
        "study": name,
        "model": "tiny",
        "engine": {"vllm_python": str(vllm_python), "flags": {"load-format": "dummy", "enforce-eager": True}},
        "target_rps": 12,
        "search_space": "quickstart",
        "workload": {"input_tokens": 512, "output_tokens": 24},
        "slos": {"ttft_p95": "500ms", "tpot_p95": "50ms"},
        "load": {"time_budget": seconds, "tolerance": tolerance, "duration": "20s", "max_points": 30},
        "sampler": {"seed": seed},
        "budget": {"trials": 1},
    }
