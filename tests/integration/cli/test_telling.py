"""Studies that tell somebody: webhooks and metrics beside the real command, on the fake engine."""

import re
import signal
import socket
from pathlib import Path
from time import monotonic

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.webhooks import sink
from tests.fakes.workbench import Workbench

CANARY = "CANARY-8f3a0123456789"
SECRET_PATH = f"/services/T0/{CANARY}?token={CANARY}"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path / "bench")


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()


def scrape(port: str) -> dict[str, float]:
    page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return {
        " ".join([sample.name, *(value for name, value in sample.labels.items() if name != "study")]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def port_of(line: str) -> str:
    found = re.search(r":(\d+)/metrics", line)
    assert found is not None
    return found[1]


def test_a_finished_study_is_told_of_and_its_secret_address_is_nowhere(bench: Workbench, tmp_path: Path):
    with sink(tmp_path / "kept") as webhook, sink(tmp_path / "gone", "status:500") as refusing:
        addresses = f"{webhook.url}{SECRET_PATH} {refusing.url}{SECRET_PATH}"
        done = bench.tuner(
            "run", bench.study(budget={"trials": 1}), env={"TUNER_NOTIFY": addresses, "TUNER_DEBUG": "1"}
        )
        assert done.returncode == 0, done.stderr
        (told,) = webhook.bodies
        assert len(refusing.bodies) == 3
    assert told["event"] == "study_finished"
    assert told["trials"] == {"measured": 1}
    assert told["best"]["trial"] == 0
    assert told["resume"] == "tuner resume night"
    assert webhook.requests[0]["path"] == SECRET_PATH
    assert done.stderr.count("not told") == 1
    assert CANARY not in done.stdout + done.stderr
    for path in bench.directory.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def test_a_failing_baseline_and_the_breaker_are_told(bench: Workbench, tmp_path: Path):
    with sink(tmp_path / "kept") as webhook:
        study = bench.study(mode="dies_under_load:40")
        done = bench.tuner("run", study, "--notify", f"{webhook.url}{SECRET_PATH}")
        assert done.returncode == 4, done.stderr
        told = sorted(webhook.bodies, key=lambda body: body["at"])
    assert [body["event"] for body in told] == ["trial_0_failed", "study_stopped"]
    assert {body["failure"]["kind"] for body in told} == {"engine_dead"}
    assert told[1]["best"] is None
    assert "to go on: `tuner resume night`" in told[1]["text"]


def test_a_signal_is_told_and_a_silent_webhook_delays_the_end_by_seconds_at_most(bench: Workbench, tmp_path: Path):
    with sink(tmp_path / "kept") as webhook, sink(tmp_path / "silent", "silent") as silent:
        running = bench.start("run", bench.study(), "--notify", webhook.url, "--notify", f"{silent.url}/{CANARY}")
        running.wait_for("trial 0: load point 1")
        running.signal(signal.SIGTERM)
        running.wait_for("trial 0: interrupted")
        told_at = monotonic()
        code = running.wait()
        took = monotonic() - told_at
        assert code == 143
        (told,) = webhook.bodies
    assert (told["event"], told["reason"], told["trials"]) == ("study_interrupted", "SIGTERM", {"interrupted": 1})
    assert "tuner resume night" in running.lines[-1]
    assert took < 20, "the bound is 5 s; what is left is for a busy machine"
    assert CANARY not in "".join(running.lines)


def test_a_wrong_address_is_refused_before_anything_starts_and_not_repeated(bench: Workbench):
    done = bench.tuner("run", bench.study(), "--notify", f"hooks.example.org/{CANARY}")
    assert done.returncode == 2
    assert "--notify" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert not bench.database.exists()


def test_wrong_input_is_shown_and_not_told(bench: Workbench, tmp_path: Path):
    with sink(tmp_path / "kept") as webhook:
        done = bench.tuner("run", bench.study(model="./nowhere"), "--notify", webhook.url)
        assert done.returncode == 2
        assert webhook.bodies == []


def test_metrics_follow_a_study_and_go_on_where_it_was_after_a_resume(bench: Workbench):
    running = bench.start("run", bench.study(), "--metrics-port", "0")
    port = port_of(running.wait_for("metrics: http://127.0.0.1:"))
    assert scrape(port)["tuner_launch_phase preparing"] == 1
    running.wait_for("trial 1: start-up")
    live = scrape(port)
    running.signal(signal.SIGINT)
    running.wait()
    assert live["tuner_trials measured"] == 1
    assert live["tuner_launch_phase start-up"] == 1
    assert live["tuner_trials_budget"] == 3
    assert live["tuner_best_capacity_rps"] > 0
    assert live["tuner_launch_ready_seconds"] > 0

    resumed = bench.start("resume", "night", "--metrics-port", port)
    resumed.wait_for("start-up")
    after = scrape(port)
    resumed.signal(signal.SIGINT)
    resumed.wait()
    for name in ("tuner_trials measured", "tuner_best_capacity_rps", "tuner_launch_ready_seconds"):
        assert after[name] == live[name], name
    assert after["tuner_trials interrupted"] == 1
    assert after["tuner_failures_total interrupted"] == 1


def test_a_port_in_use_ends_it_before_the_study_begins(bench: Workbench):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = bench.tuner("run", bench.study(), "--metrics-port", str(port))
    assert done.returncode == 3
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not bench.database.exists()
