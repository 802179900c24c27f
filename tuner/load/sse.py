"""Owns the reading of a streamed completion's body: bytes in, counts and findings out. Opens no socket, reads no clock.

Server-sent events are separated by an empty line; a line may end in LF, CR LF or CR; lines that start with a colon are
comments. Nearly every event of a load point is a chunk with tokens, so those are recognised by bytes alone: a JSON
string can't hold an unescaped quote, so `"choices":[{` outside of a key is impossible, and a chunk that also names
`"usage":{`, `"error"` or a role is parsed properly. Everything else is parsed too.

The chunks of one stream are alike but for what their choices hold. How they begin and end is learned from the first
one, and a piece of the body that does the same and holds one line is a token, for a fraction of the cost (`is_token`).
"""

import json
from typing import Any, cast

from tuner.domain.inert import inert

_EXCERPT = 300
_DONE = b"[DONE]"
_CHOICES = (b'"choices":[{', b'"choices": [{')
_CHOICES_END = b"}]"
_NOTHING_YET = b"\0"
"""No line of a stream begins with it."""


class CompletionStream:
    """The state of one response body. Feed it bytes cut anywhere: the findings don't depend on the cuts."""

    __slots__ = ("_held", "_prefix", "_suffix", "_tail", "body", "completion_tokens", "done", "error", "prompt_tokens")

    def __init__(self, *, keep: bool = False) -> None:
        """Start before the first byte; with `keep`, `body` holds all of them."""
        self.body: list[bytes] | None = [] if keep else None
        """The pieces of the body, where the answer's text is needed later; None where it is not."""
        self._prefix = _NOTHING_YET
        self._suffix = b""
        self._tail = b""
        self._held = b""
        self.prompt_tokens: int | None = None
        """By the server's `usage`; None until it came."""
        self.completion_tokens: int | None = None
        """By the server's `usage`; None until it came."""
        self.error = ""
        """The first error chunk's message, one line; empty while there was none."""
        self.done = False
        """Whether `[DONE]` was seen."""

    def feed(self, data: bytes) -> int:
        """Take the next bytes of the body and return how many events that carry tokens they completed."""
        if self.body is not None:
            self.body.append(data)
        if self._held or b"\r" in data:
            data = self._with_plain_lines(data)
        events = (self._tail + data).split(b"\n\n")
        self._tail = events.pop()
        tokens = 0
        for event in events:
            tokens += self._take(event)
        return tokens

    def finish(self) -> int:
        """Take the end of the body, which also ends an event that no empty line followed; returns as `feed` does."""
        return self.feed(b"\n\n")

    def is_token(self, data: bytes) -> bool:
        """Return whether the next bytes are one whole chunk with tokens like those before; if not, `feed` them."""
        return (
            data.startswith(self._prefix)
            and data.endswith(self._suffix)
            and data.find(b"\n") == len(data) - 2
            and not self._tail
        )

    def _with_plain_lines(self, data: bytes) -> bytes:
        """Return the data with LF line ends; a CR at the very end is held back, since its LF may come next."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return data[: len(data) - len(self._held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take(self, event: bytes) -> int:
        payload = event[6:] if event.startswith(b"data: ") and b"\n" not in event else _payload(event)
        for choices in _CHOICES:
            if choices in payload and not _needs_parsing(payload):
                self._learn(event, choices)
                return 1
        if not payload:
            return 0
        if payload == _DONE:
            self.done = True
            return 0
        return self._parse(payload)

    def _learn(self, event: bytes, choices: bytes) -> None:
        begin, end = event.find(choices), event.rfind(_CHOICES_END)
        if self.body is None and event.startswith(b"data: ") and 0 < begin < end:
            self._prefix = event[: begin + len(choices)]
            self._suffix = event[end:] + b"\n\n"

    def _parse(self, payload: bytes) -> int:
        try:
            chunk = json.loads(payload)
        except ValueError:
            self._fail(f"not JSON: {payload.decode(errors='replace')}")
            return 0
        if not isinstance(chunk, dict):
            self._fail(f"not an object: {payload.decode(errors='replace')}")
            return 0
        return self._read(cast("dict[str, Any]", chunk))

    def _read(self, chunk: dict[str, Any]) -> int:
        if chunk.get("error") or chunk.get("object") == "error":
            self._fail(_message(chunk))
            return 0
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            counts = cast("dict[str, Any]", usage)
            self.prompt_tokens = _count(counts.get("prompt_tokens"))
            self.completion_tokens = _count(counts.get("completion_tokens"))
        return 1 if _has_tokens(chunk.get("choices")) else 0

    def _fail(self, message: str) -> None:
        self.error = self.error or one_line(message)


def one_line(text: str) -> str:
    """Return the text as one line of at most 300 characters, fit for evidence."""
    return inert(" ".join(text.split())[:_EXCERPT])


def _needs_parsing(payload: bytes) -> bool:
    return (
        b'"usage":{' in payload or b'"usage": {' in payload or b'"error"' in payload or b'"role":"assistant"' in payload
    )


def _has_tokens(choices: object) -> bool:
    """Return whether there are choices; the first chunk of a chat only says who speaks."""
    if not isinstance(choices, list) or not choices:
        return False
    first = cast("list[Any]", choices)[0]
    delta: Any = cast("dict[str, Any]", first).get("delta") if isinstance(first, dict) else None
    return not isinstance(delta, dict) or any(
        value for key, value in cast("dict[str, Any]", delta).items() if key != "role"
    )


def _payload(event: bytes) -> bytes:
    """Return an event's data: its `data` lines joined, one space after each colon dropped, other fields ignored."""
    lines = (line for line in event.split(b"\n") if line == b"data" or line.startswith(b"data:"))
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)


def _message(chunk: dict[str, Any]) -> str:
    error: Any = chunk.get("error")
    holder = cast("dict[str, Any]", error) if isinstance(error, dict) else chunk
    return str(holder.get("message") or holder)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
