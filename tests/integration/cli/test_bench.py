"""`tuner bench` against servers that already run: a fake engine with metrics, and a faulty stream without."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.fakes.workbench import FAKE_VLLM, ROOT, Workbench, alive, until

STREAM_SERVER = ROOT / "tests" / "fakes" / "stream_server.py"
KEY = "sk-bench-test"
LENGTHS = ("--input-tokens", "32", "--output-tokens", "8")
LOAD = ("--concurrency", "4", "--requests", "24", *LENGTHS)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def engine(bench: Workbench) -> Generator[str]:
    """The URL of a fake vLLM that wants a key."""
    with fake_vllm(bench) as url:
        yield url


@contextmanager
def fake_vllm(bench: Workbench, mode: str = "healthy") -> Generator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = [f"--port={port}", "--host=127.0.0.1", f"--model={bench.directory / 'tiny'}", "--served-model-name=fake"]
    command = [FAKE_VLLM, "-m", "vllm.entrypoints.openai.api_server", *flags]
    env = os.environ | {"FAKE_VLLM_MODE": mode, "VLLM_API_KEY": KEY}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            assert until(lambda: _listens(port))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def stream_server(mode: str = "healthy", *, certificate: Path | None = None) -> Generator[str]:
    command = [sys.executable, str(STREAM_SERVER), "--mode", mode, "--first-ms", "2", "--gap-ms", "1"]
    command += ["--certificate", str(certificate)] if certificate else []
    root = "https://localhost" if certificate else "http://127.0.0.1"
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield f"{root}:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.kill()


def seen_by(url: str) -> list[dict[str, Any]]:
    """Return the bodies and keys that a stream server was sent."""
    with urllib.request.urlopen(f"{url}/requests") as answer:  # noqa: S310
        return json.load(answer)


def measured(bench: Workbench, url: str, *arguments: str) -> Any:
    """Run a bench with `--json` and the key, and return what it printed."""
    done = bench.tuner("bench", "--url", url, *arguments, "--json", env={"OPENAI_API_KEY": KEY})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_client_and_server_count_the_same(bench: Workbench, engine: str):
    found = measured(bench, engine, *LOAD, "--slo", "ttft_p95=10s", "--seed", "7")
    assert found["model"] == "fake"
    assert found["requests"] == {"completed": 24, "failed": 0, "errors": {}}
    assert found["seed"] == 7
    told = found["reconciliation"]
    assert told["requests"] == {"client": 24, "server": 24}
    assert told["prompt_tokens"] == {"client": 24 * 32, "server": 24 * 32}
    assert told["output_tokens"] == {"client": 24 * 8, "server": 24 * 8}
    assert found["server"]["prefix_cache_hit_rate"] == 0
    assert found["ttft_ms"]["p95"] > 0
    assert found["ttft_ms"]["p99"] is None
    assert found["itl_ms"]["count"] == 24 * 7
    assert found["goodput_rps"] == found["throughput"]["requests_per_s"] > 0
    assert found["slos"][0]["met"] is True


def test_without_a_seed_every_run_has_prompts_of_its_own(bench: Workbench):
    with stream_server() as url:
        seeds = {measured(bench, url, "--model", "m", *LOAD)["seed"] for _ in range(2)}
        prompts = [tuple(request["body"]["prompt"]) for request in seen_by(url)]
    assert len(seeds) == 2
    assert len(set(prompts)) == 48
    assert all(16 <= token < 256 for prompt in prompts for token in prompt)


def test_a_rate_for_a_duration_sends_what_is_due_in_it(bench: Workbench):
    with stream_server() as url:
        arguments = ("--model", "m", "--rate", "40", "--arrivals", "constant", "--duration", "1s", *LENGTHS)
        found = measured(bench, url, *arguments)
        seen = len(seen_by(url))
    assert 39 <= found["requests"]["completed"] <= 40
    assert found["requests"] == {"completed": seen, "failed": 0, "errors": {}}
    assert found["arrivals"] == {"kind": "constant", "rate": 40.0}


def test_users_for_a_duration_send_until_it_is_over(bench: Workbench):
    with stream_server() as url:
        found = measured(bench, url, "--model", "m", "--concurrency", "3", "--duration", "0.5s", *LENGTHS)
        seen = len(seen_by(url))
    assert found["requests"] == {"completed": seen, "failed": 0, "errors": {}}
    assert found["duration_s"] >= 0.5
    assert seen > 6


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [("error_chunk", "stream_error"), ("cut", "cut"), ("http_500", "http_error"), ("short", "short")],
)
def test_when_nothing_completes_every_failure_is_counted(bench: Workbench, mode: str, outcome: str):
    with stream_server(mode) as url:
        done = bench.tuner("bench", "--url", url, "--model", "m", *LOAD, "--json")
    assert done.returncode == 3
    assert "no request completed; the first one: " in done.stderr
    found = json.loads(done.stdout)
    assert found["requests"] == {"completed": 0, "failed": 24, "errors": {outcome: 24}}
    assert found["ttft_ms"]["mean"] is None
    assert found["server"] is None


def test_some_failures_are_counted_beside_what_completed(bench: Workbench):
    with fake_vllm(bench, "error_chunks:3") as url:
        found = measured(bench, url, *LOAD, "--slo", "ttft_p95=10s")
    assert found["requests"] == {"completed": 16, "failed": 8, "errors": {"stream_error": 8}}
    assert found["slo_met"] is False


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(bench: Workbench):
    with stream_server("stall") as url:
        done = bench.tuner("bench", "--url", url, "--model", "m", *LOAD, "--timeout", "300ms", "--json")
    assert done.returncode == 3
    assert "nothing came for 0.3 s" in done.stderr
    assert json.loads(done.stdout)["requests"] == {"completed": 0, "failed": 24, "errors": {"cancelled": 24}}


def test_a_key_goes_from_the_environment_to_the_server_and_nowhere_else(bench: Workbench):
    with stream_server() as url:
        arguments = ("bench", "--url", url, "--model", "m", *LOAD, "--api-key-env", "MY_KEY", "--save")
        done = bench.tuner(*arguments, env={"MY_KEY": KEY})
        keys = {request["authorization"] for request in seen_by(url)}
    assert done.returncode == 0, done.stderr
    assert keys == {f"Bearer {KEY}"}
    assert KEY not in done.stdout + done.stderr
    assert KEY.encode() not in bench.database.read_bytes()


def test_a_kept_measurement_is_listed_and_read_back_the_same(bench: Workbench, engine: str, tmp_path: Path):
    database = str(tmp_path / "mine.db")
    first = measured(bench, engine, *LOAD, "--save", "--db", database)
    second = measured(bench, engine, "--rate", "50", "--requests", "20", *LENGTHS, "--save", "--db", database)
    listed = bench.json("benches", "--db", database)
    assert listed == [{"id": 1} | first, {"id": 2} | second]
    table = bench.tuner("benches", "--db", database).stdout
    assert "4 users" in table
    assert "50 req/s" in table


def test_without_save_no_file_is_made(bench: Workbench, engine: str, tmp_path: Path):
    measured(bench, engine, *LOAD, "--db", str(tmp_path / "none.db"))
    assert not (tmp_path / "none.db").exists()


def test_people_get_progress_a_table_and_histograms(bench: Workbench, engine: str):
    done = bench.tuner("bench", "--url", f"{engine}/v1", *LOAD, env={"VLLM_API_KEY": KEY})
    assert done.returncode == 0, done.stderr
    assert "24 requests completed · 0 failed" in done.stdout
    assert "\nTTFT\n" in done.stdout
    assert "█" in done.stdout
    assert "4 users" in done.stderr


def test_a_shipped_workload_is_found_by_name(bench: Workbench):
    with stream_server() as url:
        found = measured(bench, url, "--model", "m", "--workload", "chat", "--concurrency", "2", "--requests", "4")
    assert found["requests"]["completed"] == 4
    assert len(found["workload_id"]) == 12


def test_a_chain_is_told_by_user_request_and_by_call(bench: Workbench, tmp_path: Path):
    call = {"input_tokens": 16, "output_tokens": 4}
    chain = [{"name": "plan", **call}, {"name": "look-up", "before": "20ms"}, {"name": "answer", **call}]
    (tmp_path / "agent.yaml").write_text(json.dumps({"chain": chain}))
    with stream_server() as url:
        arguments = (
            "--model",
            "m",
            "--workload",
            str(tmp_path / "agent.yaml"),
            "--concurrency",
            "1",
            "--requests",
            "5",
        )
        found = measured(bench, url, *arguments)
    assert found["requests"]["completed"] == 10
    assert (found["sessions"]["completed"], found["sessions"]["calls_mean"]) == (5, 2.0)
    assert [(step["label"], step["completed"]) for step in found["steps"]] == [("plan", 5), ("answer", 5)]
    assert found["sessions"]["duration_ms"]["mean"] > 20
    assert found["sessions"]["idle_share"] > 0


def test_tls_is_checked_and_goes_through(bench: Workbench, tmp_path: Path):
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with stream_server(certificate=tmp_path / "server.pem") as url:
        arguments = ("bench", "--url", url, "--model", "m", "--endpoint", "chat", *LOAD, "--json")
        refused = bench.tuner(*arguments)
        trusted = bench.tuner(*arguments, env={"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
    assert refused.returncode == 3
    assert "certificate verify failed" in refused.stderr
    assert "SSL_CERT_FILE" in refused.stderr
    assert trusted.returncode == 0, trusted.stderr
    assert json.loads(trusted.stdout)["requests"] == {"completed": 24, "failed": 0, "errors": {}}


@pytest.mark.parametrize(
    ("code", "arguments", "what"),
    [
        (2, ("--rate", "2", *LOAD), "--concurrency and --rate exclude each other"),
        (2, (*LOAD, "--slo", "ttft_p95"), "--slo"),
        (2, LOAD, "the server refuses the API key (HTTP 401)"),
    ],
)
def test_what_can_not_be_measured_is_refused(
    bench: Workbench, engine: str, code: int, arguments: tuple[str, ...], what: str
):
    done = bench.tuner("bench", "--url", engine, *arguments)
    assert done.returncode == code
    assert what in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("more", [(), ("--model", "m")])
def test_a_server_that_is_not_there(bench: Workbench, more: tuple[str, ...]):
    done = bench.tuner("bench", "--url", "http://127.0.0.1:9", *LOAD, *more)
    assert done.returncode == 3
    assert "the server can't be reached" in done.stderr


def test_an_interrupt_ends_it_and_its_load_generator(bench: Workbench):
    with stream_server() as url:
        running = bench.start("bench", "--url", url, "--model", "m", "--rate", "5", "--duration", "60s", *LENGTHS)
        running.wait_for("5 req/s")
        below = running.engine()
        running.signal(signal.SIGINT)
        code = running.wait()
    assert code == 130
    assert len(below) == 1
    assert until(lambda: not alive(below))
