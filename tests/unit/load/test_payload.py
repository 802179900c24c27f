"""The bytes of a request and where they go."""

import json

import pytest

from tuner.domain.endpoint import Endpoint
from tuner.domain.errors import InputError
from tuner.load.payload import Form, parse_target


def test_a_request_says_its_own_length_and_asks_for_a_stream_with_usage():
    target = parse_target("http://127.0.0.1:8123")
    raw = Form(target, "m-1", ignore_eos=True, api_key="k").request((5, 6, 7), 9)
    head, body = raw.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/completions HTTP/1.1"
    assert {"Host: 127.0.0.1:8123", "Authorization: Bearer k", f"Content-Length: {len(body)}"} <= set(lines)
    assert json.loads(body) == {
        "model": "m-1",
        "prompt": [5, 6, 7],
        "max_tokens": 9,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }


def test_without_a_key_or_ignored_eos_neither_is_sent():
    raw = Form(parse_target("http://h"), "m", ignore_eos=False).request((5, 6, 7), 9)
    assert b"Authorization" not in raw
    assert b"ignore_eos" not in raw


def test_a_chat_is_sent_its_messages_and_text_goes_as_it_is():
    messages = ({"role": "user", "content": "Hi"},)
    chat = parse_target("http://h/v1", Endpoint.CHAT)
    raw = Form(chat, "m", ignore_eos=False).request(messages, 9)
    assert raw.startswith(b"POST /v1/chat/completions ")
    assert json.loads(raw.split(b"\r\n\r\n", 1)[1])["messages"] == list(messages)
    text = Form(parse_target("http://h"), "m", ignore_eos=False, cache_salt="s").request("Hi", 9, return_token_ids=True)
    body = json.loads(text.split(b"\r\n\r\n", 1)[1])
    assert (body["prompt"], body["return_token_ids"], body["cache_salt"]) == ("Hi", True, "s")


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("http://h:81/", "h", 81, "/v1/completions", "h:81"),
        ("http://h/base", "h", 80, "/base/v1/completions", "h:80"),
        ("http://h/v1/", "h", 80, "/v1/completions", "h:80"),
        ("http://[::1]:8000", "::1", 8000, "/v1/completions", "[::1]:8000"),
    ],
)
def test_a_base_url_is_taken_apart(url: str, host: str, port: int, path: str, authority: str):
    target = parse_target(url)
    assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)
    assert target.tls is None


def test_https_brings_certificate_checks():
    target = parse_target("https://example.test")
    assert target.port == 443
    assert target.tls is not None
    assert target.tls.check_hostname


@pytest.mark.parametrize("url", ["h:80", "ftp://h", "http://", "", "http://h:99999", "http://[::1"])
def test_what_is_no_url_is_refused(url: str):
    with pytest.raises(InputError, match="URL"):
        parse_target(url)
