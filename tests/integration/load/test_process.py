"""The load worker as a process: what comes back, how it fails, and that none is left behind."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuner.domain.arrivals import ClosedLoop
from tuner.domain.errors import LaunchError
from tuner.domain.failure import FailureKind
from tuner.domain.load import LoadJob, Outcome
from tuner.load.process import WORKER, run_job

Serve = Callable[..., Any]
MakeJob = Callable[..., LoadJob]


def nothing(_done: int, _total: int) -> None:
    """Take progress and drop it."""


def alive(pid: int) -> bool:
    """Return whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # another process is waited for
            await asyncio.sleep(0.02)


async def test_a_job_comes_back_on_the_machine_s_clock(serve: Serve, make_job: MakeJob):
    told: list[tuple[int, int]] = []
    with serve(gap_ms=40) as server:
        before = time.monotonic()
        job = make_job(server.url)
        result = await run_job(job, api_key="secret", on_progress=lambda done, total: told.append((done, total)))
        received = [received for received, _ in server.truth()]
        assert {request["authorization"] for request in server.requests()} == {"Bearer secret"}
    assert [record.outcome for record in result.records] == [Outcome.OK] * 6
    assert before < result.started_at < time.monotonic()
    for record, at in zip(result.records, received, strict=True):
        assert record.sent_at + result.started_at == pytest.approx(at, abs=0.05)
    assert told[-1] == (6, 6)
    assert result.client.cpu_s > 0


async def test_cancelling_leaves_no_worker(serve: Serve, make_job: MakeJob, tmp_path: Path):
    pid_file = tmp_path / "pid"
    script = f"import os, runpy; open({str(pid_file)!r}, 'w').write(str(os.getpid())); "
    command = [sys.executable, "-c", script + "runpy.run_module('tuner.load.worker', run_name='__main__')"]
    with serve("stall") as server:
        work = asyncio.create_task(run_job(make_job(server.url), api_key="", on_progress=nothing, command=command))
        await until(lambda: pid_file.exists() and bool(pid_file.read_text()) and len(server.truth()) == 3)
        assert alive(pid := int(pid_file.read_text()))
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert not alive(pid)


async def test_a_worker_whose_parent_is_gone_ends(serve: Serve, make_job: MakeJob):
    with serve("stall") as server:
        worker = subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
        assert worker.stdin is not None
        worker.stdin.write(make_job(server.url).model_dump_json().encode() + b"\n")
        worker.stdin.flush()
        await until(lambda: len(server.truth()) == 3)
        worker.stdin.close()
        assert worker.wait(timeout=5) == 3


@pytest.mark.parametrize(
    ("script", "evidence"),
    [
        ("raise SystemExit('out of luck')", "out of luck"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
        ("pass", "exit code 0"),
    ],
)
async def test_a_worker_that_fails_is_a_client_failure_with_its_last_words(
    make_job: MakeJob, script: str, evidence: str
):
    with pytest.raises(LaunchError) as caught:
        await run_job(
            make_job("http://127.0.0.1:9"), api_key="", on_progress=nothing, command=[sys.executable, "-c", script]
        )
    assert caught.value.failure.kind is FailureKind.CLIENT_FAILED
    assert evidence in caught.value.failure.evidence


async def test_a_job_that_can_t_be_done_says_why_in_one_line(make_job: MakeJob):
    trace = {"trace": {"file": "/nowhere/trace.csv", "format": "azure"}}
    with pytest.raises(LaunchError) as caught:
        await run_job(make_job("http://127.0.0.1:9", workload=trace), api_key="", on_progress=nothing)
    assert caught.value.failure.evidence.startswith("/nowhere/trace.csv: there is no such file")


def test_a_worker_starts_without_the_heavy_libraries():
    code = "import sys, tuner.load.worker; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    loaded = {name.partition(".")[0] for name in found.stdout.split()}
    assert not loaded & {"optuna", "sqlalchemy", "alembic", "typer", "rich", "httpx", "prometheus_client", "plotly"}


async def test_the_ruler_s_own_error_is_small(serve: Serve, make_job: MakeJob, capsys: pytest.CaptureFixture[str]):
    """64 streams; the figures are printed, and held against bounds that a busy machine keeps too."""
    with serve(first_ms=20, gap_ms=10) as server:
        job = make_job(server.url, ClosedLoop(concurrency=64), requests=128, output=50)
        result = await run_job(job, api_key="", on_progress=nothing)
        truth = server.truth()
    assert {record.outcome for record in result.records} == {Outcome.OK}
    events = sum(len(record.event_times) for record in result.records)
    true_ttft = sum(sent[0] - received for received, sent in truth) / len(truth) * 1e3
    ttft = sum(record.event_times[0] - record.sent_at for record in result.records) / len(truth) * 1e3
    true_tpot = sum((sent[-1] - sent[0]) / 49 for _, sent in truth) / len(truth) * 1e3
    tpot = sum((record.event_times[-1] - record.event_times[0]) / 49 for record in result.records) / len(truth) * 1e3
    with capsys.disabled():
        sys.stdout.write(
            f"\n64 streams: TTFT {ttft:.2f} ms (truth {true_ttft:.2f}), TPOT {tpot:.3f} ms (truth {true_tpot:.3f}), "
            f"{result.client.cpu_s / events * 1e6:.1f} µs of client CPU a token\n"
        )
    assert events == 128 * 50
    assert ttft >= true_ttft
    assert tpot == pytest.approx(true_tpot, rel=0.05)
