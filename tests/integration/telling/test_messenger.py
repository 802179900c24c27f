"""Deliveries to real webhooks: healthy, slow, failing, absent ones."""

import logging
import socket
from pathlib import Path

import httpx
import pytest

from tests.fakes.webhooks import sink
from tests.fakes.workbench import until
from tuner.telling.webhook import Messenger, Webhook

CANARY = "CANARY-8f3a"
PAYLOAD = {"text": "done", "event": "study_finished"}
QUICK = (0.0, 0.05, 0.05)


def deliver(*urls: str, timeout_s: float = 5.0, wait_s: float = 10.0) -> list[str]:
    """Deliver the payload, and return the warnings."""
    warnings: list[str] = []
    webhooks = [Webhook(f"{url}/services/{CANARY}?token={CANARY}") for url in urls]
    messenger = Messenger(webhooks, warnings.append, timeout_s=timeout_s, pauses_s=QUICK)
    messenger.send(PAYLOAD)
    messenger.wait(wait_s)
    return warnings


def ignore(_: str) -> None:
    pass


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def test_every_webhook_gets_the_payload_as_json_at_its_whole_address(tmp_path: Path):
    with sink(tmp_path / "one") as one, sink(tmp_path / "two") as two:
        assert deliver(one.url, two.url) == []
        for each in (one, two):
            (request,) = each.requests
            assert request["body"] == PAYLOAD
            assert request["path"] == f"/services/{CANARY}?token={CANARY}"
            headers = {name.lower(): value for name, value in request["headers"].items()}
            assert headers["content-type"] == "application/json"


def test_a_secret_is_posted_to_nobody(tmp_path: Path):
    payload = {"text": f"no model for {CANARY}", "failure": {"evidence": f"401 {CANARY}"}, "trials": {"failed": 1}}
    with sink(tmp_path / "kept") as webhook:
        messenger = Messenger([Webhook(webhook.url)], ignore, secrets=[CANARY])
        messenger.send(payload)
        messenger.wait(10.0)
        (request,) = webhook.requests
    stars = "*" * len(CANARY)
    assert request["body"]["failure"] == {"evidence": f"401 {stars}"}
    assert request["body"]["text"] == f"no model for {stars}"
    assert request["body"]["trials"] == {"failed": 1}


def test_a_server_error_is_tried_again(tmp_path: Path):
    with sink(tmp_path / "kept", "once:503") as webhook:
        assert deliver(webhook.url) == []
        assert len(webhook.bodies) == 2


@pytest.mark.parametrize(("mode", "attempts"), [("status:500", 3), ("status:429", 3), ("status:404", 1)])
def test_a_webhook_that_refuses_becomes_one_warning(tmp_path: Path, mode: str, attempts: int):
    with sink(tmp_path / "kept", mode) as webhook:
        assert deliver(webhook.url) == [f"not told: {webhook.url}/…: answered {mode[-3:]}"]
        assert len(webhook.bodies) == attempts


def test_a_redirect_is_not_followed(tmp_path: Path):
    with sink(tmp_path / "kept", "redirect") as webhook:
        (warning,) = deliver(webhook.url)
        assert "302" in warning
        assert [CANARY in request["path"] for request in webhook.requests] == [True]


def test_a_webhook_that_is_not_there_becomes_one_warning():
    url = f"http://127.0.0.1:{free_port()}"
    assert deliver(url) == [f"not told: {url}/…: no connection (ConnectError)"]


def test_a_silent_webhook_holds_up_neither_another_one_nor_the_end(tmp_path: Path):
    with sink(tmp_path / "silent", "silent") as silent, sink(tmp_path / "healthy") as healthy:
        warnings = deliver(silent.url, healthy.url, timeout_s=3600, wait_s=0.5)
        assert warnings == [f"not told: {silent.url}/…: no answer in time"]
        assert healthy.bodies == [PAYLOAD]


def test_a_webhook_that_never_answers_is_given_up_after_all_attempts(tmp_path: Path):
    with sink(tmp_path / "kept", "silent") as webhook:
        assert deliver(webhook.url, timeout_s=0.2) == [f"not told: {webhook.url}/…: no answer within 0.2 s"]
        assert len(webhook.bodies) == 3


def test_sending_returns_before_a_slow_webhook_has_answered(tmp_path: Path):
    with sink(tmp_path / "kept", "slow:1") as webhook:
        warnings: list[str] = []
        messenger = Messenger([Webhook(webhook.url)], warnings.append)
        messenger.send(PAYLOAD)
        assert until(lambda: webhook.bodies == [PAYLOAD])
        messenger.wait(10.0)
        assert warnings == []


def test_the_address_appears_in_no_log_even_with_debugging_on(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with sink(tmp_path / "one") as one, sink(tmp_path / "two", "redirect") as two:
        warnings = deliver(one.url, two.url, f"http://127.0.0.1:{free_port()}")
    assert caplog.records, "httpcore logs its connections: the level is in force"
    assert CANARY not in caplog.text + "".join(warnings)


def test_httpx_still_logs_what_others_ask_for(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    with sink(tmp_path / "kept") as webhook:
        deliver(webhook.url)
        httpx.post(f"{webhook.url}/other", json={}, trust_env=False)
    assert "/other" in caplog.text
