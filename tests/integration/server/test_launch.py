"""Launches of the fake engine, with every fault that the real one can't show on demand."""

import asyncio
import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest

from tuner.domain.errors import LaunchError, SurroundingsError
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import Flags
from tuner.domain.trial import EXPOSED
from tuner.server import procfs
from tuner.server.launch import LaunchHandle, LaunchRequest

FAKE = Path(__file__).parents[2] / "fakes" / "vllm" / "python"
MakeLaunch = Callable[..., LaunchHandle]


@pytest.fixture
def make_launch(tmp_path: Path) -> MakeLaunch:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"vocab_size": 512}')

    def make(
        mode: str = "healthy",
        *,
        flags: Flags | None = None,
        port: int | None = None,
        start_timeout: float = 20.0,
        environ: Mapping[str, str] = os.environ,
    ) -> LaunchHandle:
        request = LaunchRequest(
            python=FAKE,
            entrypoint="api_server",
            model=str(tmp_path / "model"),
            flags=flags or {},
            env={"FAKE_VLLM_MODE": mode},
            gpus=None,
            port=port,
            start_timeout=start_timeout,
            log_path=tmp_path / "logs" / "launch.log",
        )
        return LaunchHandle(request, environ=environ)

    return make


def log_of(tmp_path: Path) -> str:
    return (tmp_path / "logs" / "launch.log").read_text()


def engine_processes(sid: int) -> list[str]:
    return [process.title for process in procfs.snapshot() if process.sid == sid]


def shared_memory(log: str) -> Path:
    return Path("/dev/shm") / log.partition("shared memory ")[2].split()[0]  # noqa: S108  # the kernel's own place


def environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_bytes().decode()


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def log_says(tmp_path: Path, text: str) -> None:
    for _ in range(500):
        if (tmp_path / "logs" / "launch.log").exists() and text in log_of(tmp_path):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"the log never said {text!r}")


async def complete(url: str, model: str, key: str) -> httpx.Response:
    body = {"model": model, "prompt": [1, 2, 3], "max_tokens": 4}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
        return await client.post(f"{url}/v1/completions", json=body)


async def test_a_launch_serves_and_leaves_nothing_behind(make_launch: MakeLaunch, tmp_path: Path):
    handle = make_launch(flags={"max-num-seqs": 4})
    server = await handle.start()
    titles = engine_processes(server.pid)
    answer = await complete(server.url, server.served_name, server.api_key)
    memory = shared_memory(log_of(tmp_path))
    assert memory.exists()

    end = await handle.stop()

    assert answer.status_code == 200
    assert sum("VLLM::" in title for title in titles) == 2
    assert (end.exit_code, end.failure, end.survivors) == (0, None, ())
    assert end.resolved["kv_cache_tokens"] == 900_000
    assert engine_processes(server.pid) == []
    assert not memory.exists()
    assert not is_listening(int(server.url.rpartition(":")[2]))
    assert server.argv == handle.argv
    assert 0 < server.ready_after < 5


async def test_the_key_is_asked_for_and_stands_in_no_argument(make_launch: MakeLaunch):
    async with make_launch() as handle:
        server = await handle.start()

        assert (await complete(server.url, server.served_name, "wrong")).status_code == 401
        assert all(server.api_key not in argument for argument in handle.argv)


async def test_the_environment_is_allowed_name_by_name(make_launch: MakeLaunch):
    environ = {"PATH": os.environ["PATH"], "HF_HOME": "/hub", "AWS_SECRET_ACCESS_KEY": "x", "PYTHONPATH": "/evil"}
    async with make_launch(environ=environ) as handle:
        server = await handle.start()
        raw = environment_of(server.pid)

    names = {pair.partition("=")[0] for pair in raw.split("\0") if pair}
    assert {"PATH", "HF_HOME", "VLLM_API_KEY", "VLLM_NO_USAGE_STATS"} <= names
    assert not names & {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH"}


async def test_secrets_are_blanked_in_the_log(make_launch: MakeLaunch, tmp_path: Path):
    handle = make_launch("leaks_secrets", environ=dict(os.environ) | {"HF_TOKEN": "hf_CANARY0123456789"})
    server = await handle.start()
    assert server.api_key in log_of(tmp_path)

    await handle.stop()

    assert server.api_key not in log_of(tmp_path)
    assert "hf_CANARY" not in log_of(tmp_path)
    assert f"hf_token={'*' * 19}" in log_of(tmp_path)
    assert stat.S_IMODE((tmp_path / "logs" / "launch.log").stat().st_mode) == 0o600


async def test_a_port_that_other_machines_reach_is_told_and_kept(make_launch: MakeLaunch):
    handle = make_launch("listens_everywhere")
    server = await handle.start()
    end = await handle.stop()

    assert [each.partition(":")[0] for each in server.exposed] == ["0.0.0.0"]  # noqa: S104  # what must be told
    assert end.resolved[EXPOSED] == list(server.exposed)


async def test_a_launch_that_other_machines_do_not_reach_says_nothing(make_launch: MakeLaunch):
    handle = make_launch()
    server = await handle.start()

    assert server.exposed == ()
    assert EXPOSED not in (await handle.stop()).resolved


async def test_a_log_that_steers_terminals_gives_harmless_evidence(make_launch: MakeLaunch):
    handle = make_launch("hostile_log", environ=dict(os.environ) | {"HF_TOKEN": "hf_CANARY0123456789"})

    with pytest.raises(LaunchError) as caught:
        await handle.start()

    evidence = caught.value.failure.evidence
    assert evidence.startswith("torch.OutOfMemoryError: CUDA out of memory. ␛[2J")
    assert evidence.isprintable()
    assert "hf_CANARY" not in evidence


async def test_stopping_twice_says_the_same(make_launch: MakeLaunch):
    handle = make_launch()
    await handle.start()

    assert await handle.stop() == await handle.stop()


async def test_stopping_what_never_started_is_harmless(make_launch: MakeLaunch):
    assert (await make_launch().stop()).failure is None


@pytest.mark.parametrize(
    ("flags", "kind", "advice"),
    [
        ({"max-num-seqs": 64, "max-num-batched-tokens": 8}, FailureKind.INVALID_ARGS, "at least 64"),
        ({"no-such-thing": 3}, FailureKind.INVALID_ARGS, "--no-such-thing=3"),
        ({"kv-cache-memory-bytes": 102400}, FailureKind.KV_TOO_SMALL, "at most 100"),
        ({"gpu-memory-utilization": 0.99}, FailureKind.OOM_START, "gpu-memory-utilization"),
    ],
)
async def test_a_bad_configuration_is_classified(make_launch: MakeLaunch, flags: Flags, kind: FailureKind, advice: str):
    handle = make_launch(flags=flags)

    with pytest.raises(LaunchError) as caught:
        await handle.start()

    assert caught.value.failure.kind is kind
    assert advice in caught.value.failure.advice
    assert (await handle.stop()).failure == caught.value.failure


async def test_a_hanging_start_ends_at_the_deadline_with_everything_gone(make_launch: MakeLaunch, tmp_path: Path):
    handle = make_launch("start_hang", start_timeout=1.0)

    with pytest.raises(LaunchError) as caught:
        await handle.start()

    assert caught.value.failure.kind is FailureKind.START_TIMEOUT
    assert caught.value.failure.evidence == "not ready after 1 s: it never listened"
    assert not shared_memory(log_of(tmp_path)).exists()


async def test_a_server_that_ignores_sigterm_is_killed(make_launch: MakeLaunch, tmp_path: Path):
    handle = make_launch("ignores_sigterm")
    server = await handle.start()
    began = time.monotonic()

    end = await handle.stop()

    assert end.exit_code == -signal.SIGKILL
    assert time.monotonic() - began < 10
    assert engine_processes(server.pid) == []
    assert not shared_memory(log_of(tmp_path)).exists()


async def test_orphans_of_a_leader_that_left_are_taken_down(make_launch: MakeLaunch, tmp_path: Path):
    handle = make_launch("leaves_orphans")
    server = await handle.start()

    await handle.stop()

    assert engine_processes(server.pid) == []
    assert not shared_memory(log_of(tmp_path)).exists()


async def test_a_child_in_a_session_of_its_own_is_taken_down_too(make_launch: MakeLaunch):
    handle = make_launch("detaches,leaves_orphans")
    server = await handle.start()
    worker = next(process for process in procfs.descendants(server.pid) if process.title.endswith("VLLM::Worker 3600"))
    assert worker.sid != server.pid

    await handle.stop()

    assert procfs.find(worker.pid) is None


async def test_a_leader_that_exits_by_itself_takes_the_rest_with_it(make_launch: MakeLaunch):
    handle = make_launch("exits_leaving:2")
    server = await handle.start()
    exited = asyncio.create_task(handle.wait_exit())
    with pytest.raises(httpx.HTTPError):
        await complete(server.url, server.served_name, server.api_key)

    assert await asyncio.wait_for(exited, 5) == 7
    end = await handle.stop()

    assert end.failure is not None
    assert end.failure.kind is FailureKind.ENGINE_DEAD
    assert engine_processes(server.pid) == []


async def test_a_kill_of_the_api_server_leaves_nothing(make_launch: MakeLaunch, tmp_path: Path):
    handle = make_launch()
    server = await handle.start()
    os.kill(server.pid, signal.SIGKILL)

    assert await asyncio.wait_for(handle.wait_exit(), 5) == -signal.SIGKILL
    end = await handle.stop()

    assert end.failure is not None
    assert end.failure.kind is FailureKind.OOM_RUN
    assert engine_processes(server.pid) == []
    assert not shared_memory(log_of(tmp_path)).exists()


async def test_an_engine_that_dies_under_load_is_explained_by_its_log(make_launch: MakeLaunch):
    handle = make_launch("dies_under_load:2")
    server = await handle.start()
    await complete(server.url, server.served_name, server.api_key)

    failure = await handle.explain(Failure(kind=FailureKind.LOAD_FAILED, evidence="streams broke"))

    assert (failure.kind, failure.evidence) == (FailureKind.ENGINE_DEAD, "EngineCore encountered a fatal error.")


async def test_what_the_log_does_not_explain_stays_as_it_was_seen(make_launch: MakeLaunch):
    handle = make_launch()
    await handle.start()
    seen = Failure(kind=FailureKind.ENGINE_HUNG, evidence="no token for 60 s")

    assert await handle.explain(seen, grace=0.1) == seen


async def test_a_fixed_port_in_use_is_named_before_anything_starts(make_launch: MakeLaunch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(SurroundingsError, match=f"port {port} is in use"):
            make_launch(port=port)


async def test_two_launches_get_two_ports(make_launch: MakeLaunch):
    async with make_launch() as one, make_launch() as other:
        ports = {word for word in (*one.argv, *other.argv) if word.startswith("--port=")}

    assert len(ports) == 2


async def test_a_server_under_another_name_is_never_measured(make_launch: MakeLaunch):
    handle = make_launch("wrong_name")

    with pytest.raises(LaunchError) as caught:
        await handle.start()

    assert caught.value.failure.kind is FailureKind.PORT_IN_USE
    assert "it serves another-model" in caught.value.failure.evidence


async def test_a_first_completion_with_too_few_tokens_is_not_ready(make_launch: MakeLaunch):
    handle = make_launch("short_answers")

    with pytest.raises(LaunchError, match="first completion of 4 tokens"):
        await handle.start()


async def test_a_missing_interpreter_is_named(tmp_path: Path):
    request = LaunchRequest(
        python=tmp_path / "nowhere",
        entrypoint="api_server",
        model="m",
        flags={},
        env={},
        gpus=None,
        port=None,
        start_timeout=5,
        log_path=tmp_path / "log",
    )

    with pytest.raises(SurroundingsError, match=r"No such file or directory: .*nowhere"):
        await LaunchHandle(request).start()


async def test_a_cancelled_start_leaves_nothing(make_launch: MakeLaunch, tmp_path: Path):
    handle = make_launch("start_hang")
    start = asyncio.create_task(handle.start())
    await log_says(tmp_path, "KV cache size")
    sid = int(log_of(tmp_path).partition("pid=")[2].partition(")")[0])

    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start

    assert engine_processes(sid) == []


async def test_a_killed_supervisor_is_stood_in_for(make_launch: MakeLaunch, tmp_path: Path):
    handle = make_launch("ignores_sigterm")
    server = await handle.start()
    leader = procfs.find(server.pid)
    assert leader is not None
    os.kill(leader.ppid, signal.SIGKILL)

    assert await asyncio.wait_for(handle.wait_exit(), 5) is None
    end = await handle.stop()

    assert end.failure is not None
    assert "stopped from outside" in end.failure.evidence
    assert engine_processes(server.pid) == []
    assert not shared_memory(log_of(tmp_path)).exists()
