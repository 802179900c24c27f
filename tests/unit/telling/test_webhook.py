"""Addresses of webhooks, and that they stay secret."""

import traceback

import pytest

from tuner.domain.errors import InputError
from tuner.telling.webhook import Webhook

CANARY = "CANARY-8f3a"


def test_an_address_shows_its_scheme_and_host_alone():
    webhook = Webhook(f"https://user:{CANARY}@hooks.example.org:8443/services/{CANARY}?token={CANARY}#{CANARY}")
    assert webhook.shown == "https://hooks.example.org:8443/…"
    assert CANARY not in f"{webhook} {webhook!r}"


def test_surrounding_blanks_are_no_part_of_an_address():
    assert str(Webhook(" https://hooks.example.org/x\n").url) == "https://hooks.example.org/x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        CANARY,
        f"hooks.example.org/{CANARY}",
        f"ftp://hooks.example.org/{CANARY}",
        f"file:///{CANARY}",
        f"https:///{CANARY}",
        f"https://hooks.example.org:{CANARY}/x",
        f"https://hooks.example.org:99999/{CANARY}",
        f"https://[{CANARY}/x",
        f"https://hooks.example.org/{CANARY}\x00",
        f"javascript:{CANARY}",
    ],
)
def test_what_is_no_web_address_is_refused_without_repeating_it(text: str):
    with pytest.raises(InputError) as refused:
        Webhook(text)
    assert "http:// or https://" in str(refused.value)
    assert CANARY not in "".join(traceback.format_exception(refused.value))
