"""One real vLLM from start-up to stop, and one that it refuses. About a minute on two cores."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.workbench import ROOT
from tuner.domain.errors import LaunchError
from tuner.domain.failure import FailureKind
from tuner.domain.flags import Flags
from tuner.domain.trial import STARTUP
from tuner.server import procfs
from tuner.server.command import engine_environment
from tuner.server.engine import EngineProbe
from tuner.server.launch import LaunchHandle, LaunchRequest

FLAGS: Flags = {
    "load-format": "dummy",
    "enforce-eager": True,
    "gpu-memory-utilization": 0.3,
    "max-model-len": 160,
    "max-num-seqs": 8,
}
ENV = {"HF_HUB_OFFLINE": "1"}
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the kernel's own place

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tiny")
    subprocess.run([sys.executable, ROOT / "scripts" / "make-tiny-model", directory], check=True)
    return directory


def a_launch(python: Path, model: Path, flags: Flags, log_path: Path) -> LaunchHandle:
    request = LaunchRequest(
        python=python,
        entrypoint="api_server",
        model=str(model),
        flags=flags,
        env=ENV,
        gpus=None,
        port=None,
        start_timeout=300,
        log_path=log_path,
    )
    return LaunchHandle(request)


def shared_memory_of(pids: set[int]) -> set[str]:
    """Return the shared memory that these processes map."""
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in pids)
    return {word for word in maps.split() if word.startswith(f"{SHARED_MEMORY}/")}


def still_there(paths: set[str]) -> set[str]:
    return {path for path in paths if Path(path).exists()}


async def test_a_real_server_starts_serves_and_leaves_nothing_behind(
    vllm_python: Path, tiny_model: Path, tmp_path: Path
):
    handle = a_launch(vllm_python, tiny_model, FLAGS, tmp_path / "log")
    server = await handle.start()
    members = {process.pid for process in procfs.snapshot() if process.sid == server.pid}
    memory = shared_memory_of(members)

    end = await handle.stop()

    assert len(members) >= 3
    assert server.exposed == ()
    assert (end.failure, end.survivors) == (None, ())
    assert not {process.pid for process in procfs.snapshot()} & members
    assert still_there(memory) == set()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", int(server.url.rpartition(":")[2]))) != 0
    assert end.resolved["max_model_len"] == 160
    assert end.resolved["kv_cache_tokens"] > 1000
    phases = end.resolved[STARTUP]
    assert phases.keys() >= {"imports", "warm_up", "serving"}
    assert sum(phases.values()) == pytest.approx(server.ready_after, abs=1.5)
    assert server.api_key not in (tmp_path / "log").read_text()


async def test_a_real_refusal_is_classified(vllm_python: Path, tiny_model: Path, tmp_path: Path):
    flags = {**FLAGS, "max-num-seqs": 256, "max-num-batched-tokens": 8}

    with pytest.raises(LaunchError) as caught:
        await a_launch(vllm_python, tiny_model, flags, tmp_path / "log").start()

    assert caught.value.failure.kind is FailureKind.INVALID_ARGS
    assert "at least 256" in caught.value.failure.advice


async def test_the_real_engine_is_asked_for_its_flags_and_its_defaults(vllm_python: Path, tiny_model: Path):
    async with EngineProbe(vllm_python, engine_environment(os.environ, ENV)) as probe:
        info = probe.info
        defaults = await probe.resolve(str(tiny_model), {"load-format": "dummy"}, ["max-num-seqs", "enforce-eager"])
        refused = await probe.resolve(str(tiny_model), {"max-num-seqs": 256, "max-num-batched-tokens": 8}, [])

    assert info.resolves
    assert {"max-num-seqs", "max-num-batched-tokens", "gpu-memory-utilization", "api-key"} <= info.flags
    assert isinstance(defaults.values["max-num-seqs"], int)
    assert defaults.values["enforce-eager"] is False
    assert refused.error == "max_num_batched_tokens (8) must be greater than or equal to max_num_seqs (256)."
