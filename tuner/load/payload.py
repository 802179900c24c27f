"""Owns the bytes of a completion request and the address they go to. Opens no connection."""

import json
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from tuner.domain.errors import InputError
from tuner.load.prompts import Prompt

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go."""

    host: str
    port: int
    path: str
    """Path of the completions endpoint."""
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Return the completions endpoint below a base URL such as `http://127.0.0.1:8123`.

    Raises:
        InputError: not an http or https URL with a host.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InputError(f"{url!r} is no http:// or https:// URL", where="url")
    return Target(
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        path=f"{parts.path.rstrip('/')}/v1/completions",
        tls=ssl.create_default_context() if parts.scheme == "https" else None,
    )


def completion_request(target: Target, model: str, prompt: Prompt, *, ignore_eos: bool, api_key: str) -> bytes:
    """Return the whole HTTP request of one streamed completion, greedy, with usage in its last chunk."""
    body = _body(model, prompt, ignore_eos=ignore_eos)
    key = f"Authorization: Bearer {api_key}\r\n" if api_key else ""
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n{key}"
        f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _body(model: str, prompt: Prompt, *, ignore_eos: bool) -> bytes:
    fields = {
        "model": model,
        "max_tokens": prompt.output_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "prompt": prompt.token_ids,
    }
    if ignore_eos:
        fields["ignore_eos"] = True
    return json.dumps(fields, separators=(",", ":")).encode()
