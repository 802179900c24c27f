"""The tuner dies in every way there is; nothing of the engine may outlive it for ten seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from tuner.server import procfs
from tuner.server.supervisor import Spec

FAKES = Path(__file__).parents[2] / "fakes"


@contextmanager
def a_tuner(tmp_path: Path, mode: str) -> Generator[tuple[subprocess.Popen[str], int]]:
    """Yield a tuner with a running launch, in a session of its own, and the launch's session."""
    (tmp_path / "config.json").write_text("{}")
    arguments = [str(FAKES / "vllm" / "python"), str(tmp_path), str(tmp_path / "log")]
    with subprocess.Popen(
        [sys.executable, str(FAKES / "launching_tuner.py"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ) | {"FAKE_VLLM_MODE": mode},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def all_gone(sid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(process.sid == sid for process in procfs.snapshot()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("mode", ["healthy", "ignores_sigterm", "leaves_orphans"])
def test_when_the_tuner_is_killed_everything_goes(tmp_path: Path, mode: str):
    with a_tuner(tmp_path, mode) as (tuner, sid):
        os.kill(tuner.pid, signal.SIGKILL)

        assert all_gone(sid, 10)
    memory = (tmp_path / "log").read_text().partition("shared memory ")[2].split()[0]
    assert not (Path("/dev/shm") / memory).exists()  # noqa: S108


def test_when_the_supervisor_is_killed_and_the_tuner_stands_still_the_engine_goes(tmp_path: Path):
    with a_tuner(tmp_path, "healthy") as (tuner, sid):
        leader = procfs.find(sid)
        assert leader is not None
        os.kill(tuner.pid, signal.SIGSTOP)
        os.kill(leader.ppid, signal.SIGKILL)

        assert all_gone(sid, 10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_the_supervisor_outlives_the_terminals_signals(tmp_path: Path, number: signal.Signals):
    with a_tuner(tmp_path, "healthy") as (_, sid):
        leader = procfs.find(sid)
        assert leader is not None
        os.kill(leader.ppid, number)
        time.sleep(0.3)

        assert procfs.find(sid) == leader
        os.kill(leader.ppid, signal.SIGTERM)
        assert all_gone(sid, 10)


def test_a_pipe_that_another_child_holds_open_does_not_keep_the_engine(tmp_path: Path):
    with a_tuner(tmp_path, "healthy") as (tuner, sid):
        leader = procfs.find(sid)
        assert leader is not None
        held = next(
            descriptor
            for descriptor in Path(f"/proc/{tuner.pid}/fd").iterdir()
            if descriptor.readlink() == Path(f"/proc/{leader.ppid}/fd/0").readlink()
        )
        with held.open("wb"):
            os.kill(tuner.pid, signal.SIGKILL)

            assert all_gone(sid, 10)


@pytest.mark.parametrize("command", ["stop", "kill"])
def test_a_command_that_comes_in_one_piece_with_the_spec_is_obeyed(tmp_path: Path, command: str):
    argv = (sys.executable, "-c", "import time; time.sleep(60)")
    spec = json.dumps(asdict(Spec(argv, {}, str(tmp_path), str(tmp_path / "log"), (), os.getpid())))
    with subprocess.Popen(
        [sys.executable, "-m", "tuner.server.supervisor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as supervisor:
        assert supervisor.stdin is not None
        assert supervisor.stdout is not None
        supervisor.stdin.write(f"{spec}\n{command}\n")
        supervisor.stdin.flush()  # and it stays open, as a tuner that waits for the end leaves it
        supervisor.wait(timeout=20)
        events = [json.loads(line)["event"] for line in supervisor.stdout]
    assert events == ["started", "stopped"]
