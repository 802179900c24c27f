"""The server that the ruler is held against: it does what it is asked, and what it writes down is what it did."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.domain.load import LoadJob, LoadResult, Outcome
from tuner.load.generator import generate
from tuner.load.sessions import sessions

SERVER = Path(__file__).parents[2] / "fakes" / "truth_server.py"
MakeJob = Callable[..., LoadJob]


class Truth:
    """Truth servers, each in a process of its own."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> int:
        command = [sys.executable, str(SERVER), "--first", "10", "--step", "5", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._running.append(process)
        assert process.stdout is not None
        return int(process.stdout.readline().split()[-1])

    def stop(self) -> None:
        for process in self._running:
            with process:
                process.kill()


@pytest.fixture
def truth() -> Generator[Truth]:
    servers = Truth()
    yield servers
    servers.stop()


def get(port: int, page: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}") as answer:
        return answer.read().decode()


def counters(port: int) -> dict[str, float]:
    return {name: float(value) for name, value in (line.split() for line in get(port, "metrics").splitlines())}


async def run(job: LoadJob) -> LoadResult:
    return await generate(job, api_key="", on_progress=lambda _done, _total: None)


async def test_every_event_is_seen_after_it_was_sent_and_every_request_received_after_it_was_sent(
    truth: Truth, make_job: MakeJob
):
    began = time.monotonic()
    port = truth.start()
    job = make_job(f"http://127.0.0.1:{port}", PoissonArrivals(rate=200.0), requests=40)
    result = await run(job)
    records: dict[str, dict[str, Any]] = {each["prompt"]: each for each in json.loads(get(port, "truth"))}
    assert len(records) == 40
    asked = sessions(job.workload, 40, job.seed + job.workload.seed, first_token=10, vocabulary=500)
    for session, seen in zip(asked, result.records, strict=True):
        did = records[",".join(map(str, session.calls[0].content))[:64]]
        assert began < seen.sent_at + result.started_at <= did["received"]
        assert len(did["sent"]) == len(seen.event_times) == 8
        assert did["received"] + 0.01 - 0.001 <= did["sent"][0]
        assert all(sent <= at + result.started_at for sent, at in zip(did["sent"], seen.event_times, strict=True))


async def test_its_counters_are_those_of_its_record(truth: Truth, make_job: MakeJob):
    port = truth.start()
    await run(make_job(f"http://127.0.0.1:{port}", ClosedLoop(concurrency=4), requests=12))
    found, did = counters(port), json.loads(get(port, "truth"))
    assert found["vllm:prompt_tokens_total"] == 12 * 16
    assert found["vllm:generation_tokens_total"] == 12 * 8
    assert found["vllm:time_to_first_token_seconds_count"] == 12
    assert found["vllm:time_to_first_token_seconds_sum"] == pytest.approx(
        sum(each["sent"][0] - each["received"] for each in did)
    )
    assert found["vllm:num_requests_running"] == 0


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
async def test_several_tokens_may_share_an_event(truth: Truth, make_job: MakeJob, endpoint: str):
    port = truth.start("--tokens-per-event", "3")
    result = await run(make_job(f"http://127.0.0.1:{port}", workload={"endpoint": endpoint}))
    assert {record.outcome for record in result.records} == {Outcome.OK}
    assert {(len(record.event_times), record.output_tokens) for record in result.records} == {(3, 8)}


async def test_it_serves_tls(truth: Truth, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key, trusted = (tmp_path / name for name in ("server.pem", "key.pem", "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(trusted)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    port = truth.start("--certificate", str(certificate), "--key", str(key))
    result = await run(make_job(f"https://localhost:{port}"))
    assert [record.outcome for record in result.records] == [Outcome.OK] * 6
