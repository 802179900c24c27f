"""Owns the bytes of a request and the address they go to. Opens no connection."""

import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tuner.domain.endpoint import Endpoint
from tuner.domain.errors import InputError
from tuner.load.prompts import Content

_PORTS = {"http": 80, "https": 443}
_PATHS = {Endpoint.COMPLETIONS: "/v1/completions", Endpoint.CHAT: "/v1/chat/completions"}

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go."""

    host: str
    port: int
    path: str
    """Path of the endpoint."""
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_target(url: str, endpoint: Endpoint = Endpoint.COMPLETIONS) -> Target:
    """Return an endpoint below a base URL such as `http://127.0.0.1:8123`; a `/v1` at its end may be left out.

    Raises:
        InputError: not an http or https URL with a host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:  # half a bracket, or a port beyond 65535
        raise InputError(f"{url!r} is no URL: {error}", where="url") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InputError(f"{url!r} is no http:// or https:// URL", where="url")
    return Target(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        path=parts.path.rstrip("/").removesuffix("/v1") + _PATHS[endpoint],
        tls=ssl.create_default_context() if parts.scheme == "https" else None,
    )


@dataclass(frozen=True, slots=True)
class Form:
    """What all requests of a load point have in common."""

    target: Target
    model: str
    ignore_eos: bool
    api_key: str = ""
    cache_salt: str = ""
    """Sent along, it keeps prompts apart from the same ones with another salt in the server's prefix cache."""

    def request(self, prompt: Content | Messages, output_tokens: int, *, return_token_ids: bool = False) -> bytes:
        """Return the whole HTTP request of one streamed answer, greedy, with usage in its last chunk.

        Args:
            prompt: token ids or text for completions, messages for a chat.
            output_tokens: completion tokens to ask for.
            return_token_ids: ask for the answer's token ids, which the next turn of a conversation needs.
        """
        fields = self._fields(prompt, output_tokens, return_token_ids=return_token_ids)
        body = json.dumps(fields, separators=(",", ":")).encode()
        key = f"Authorization: Bearer {self.api_key}\r\n" if self.api_key else ""
        head = (
            f"POST {self.target.path} HTTP/1.1\r\nHost: {self.target.authority}\r\n{key}"
            f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _fields(self, prompt: Content | Messages, output_tokens: int, *, return_token_ids: bool) -> dict[str, Any]:
        is_chat = self.target.path.endswith(_PATHS[Endpoint.CHAT])
        fields: dict[str, Any] = {
            "model": self.model,
            "max_tokens": output_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages" if is_chat else "prompt": prompt,
        }
        if self.ignore_eos:
            fields["ignore_eos"] = True
        if return_token_ids:
            fields["return_token_ids"] = True
        if self.cache_salt:
            fields["cache_salt"] = self.cache_salt
        return fields
