"""Whole studies of real vLLM servers: three trials, an engine killed under load, the tuner killed. Six starts."""

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes.workbench import Workbench, alive, until
from tuner.domain.trial import Trial
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader

pytestmark = pytest.mark.vllm

ENGINE_FLAGS = {"load-format": "dummy", "enforce-eager": True}
LOAD = {
    "highest": 2,
    "lowest": 0.5,
    "max_points": 3,
    "duration": "3s",
    "min_requests": 20,
    "warmup_requests": 9,
    "drain": "5s",
}


def real(directory: Path, vllm_python: Path) -> Workbench:
    return Workbench(directory, vllm_python=vllm_python)


def study(bench: Workbench, **changes: Any) -> Path:
    engine = {"vllm_python": str(bench.vllm_python), "flags": ENGINE_FLAGS, "env": {"HF_HUB_OFFLINE": "1"}}
    defaults: dict[str, Any] = {
        "engine": engine,
        "search_space": "quickstart",
        "target_rps": 6,
        "workload": {"input_tokens": 64, "output_tokens": 8},
        "load": LOAD,
    }
    return bench.study(**defaults | changes)


def trials(bench: Workbench) -> tuple[Trial, ...]:
    with open_reader(DatabaseLocation.parse(str(bench.database))) as reader:
        stored = reader.study("night")
        assert stored is not None
        return reader.trials(stored.id)


def engine_core(running: set[int]) -> int:
    return next(pid for pid in running if "EngineCore" in " ".join(psutil.Process(pid).cmdline()))


def test_a_study_of_three_trials_from_start_to_answer(vllm_python: Path, tmp_path: Path):
    bench = real(tmp_path, vllm_python)
    done = bench.tuner("run", study(bench))
    assert done.returncode == 0, done.stderr

    measured = trials(bench)
    assert [trial.state for trial in measured] == ["measured"] * 3
    baseline = measured[0]
    assert baseline.flags == {}
    assert isinstance(baseline.resolved["max-num-seqs"], int)
    assert baseline.launches[0].resolved["kv_cache_tokens"] > 1000
    for trial in measured:
        for point in trial.load_points:
            assert point.summary.failed == 0
            assert point.server.generation_tokens == point.requests * 8
            assert point.server.prompt_tokens == point.requests * 64
            assert point.server.prefix_cache_hit_rate == 0
    answer = bench.json("best", "--target-rps", "3")
    assert answer["command"].startswith("vllm serve tiny ")
    assert answer["baseline"]["trial"] == 0


def test_an_engine_killed_under_load_is_no_number(vllm_python: Path, tmp_path: Path):
    bench = real(tmp_path, vllm_python)
    running = bench.start("run", study(bench, load=LOAD | {"duration": "30s"}))
    running.wait_for("load point 1")
    engine = running.engine()
    psutil.Process(engine_core(engine)).kill()

    assert running.wait() == 4
    assert alive(engine) == set()
    failed = trials(bench)[0]
    assert failed.failure is not None
    assert (failed.state, failed.failure.kind, failed.capacity) == ("failed", "engine_dead", None)


def test_after_a_sigkill_of_the_tuner_the_engine_goes_and_resume_goes_on(vllm_python: Path, tmp_path: Path):
    bench = real(tmp_path, vllm_python)
    running = bench.start("run", study(bench, budget={"trials": 1}))
    running.wait_for("load point 1")
    engine = running.engine()
    running.signal(signal.SIGKILL)
    running.wait()

    assert len(engine) >= 4
    assert until(lambda: not alive(engine)), alive(engine)
    done = bench.tuner("resume", "night")
    assert done.returncode == 0, done.stderr
    assert [trial.state for trial in trials(bench)] == ["interrupted", "measured"]
