"""Owns what a conversation has said so far, and so what its next turn sends. Builds no HTTP and sends nothing."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tuner.load.payload import Messages
from tuner.load.prompts import Content, Source
from tuner.load.sessions import Call


class TokenDialogue:
    """A conversation over the completions endpoint: one growing prompt."""

    def __init__(self, source: Source, draw: np.random.Generator) -> None:
        """Take where the ids of an answer come from that the server does not tell."""
        self._source = source
        self._draw = draw
        self._said: list[int] = []
        self._text = ""

    def ask(self, call: Call) -> Content:
        """Return what a call sends: all that was said before, then its own."""
        for part in (call.prefix, call.content):
            if isinstance(part, str):
                self._text = f"{self._text}\n{part}" if self._text else part
            elif part is not None:
                self._said += part
        return self._text or tuple(self._said)

    def hear(self, body: bytes, tokens: int) -> None:
        """Take the body of an answer of so many tokens; where it holds no ids, others stand in for them."""
        if self._text:
            self._text += answer_text(body)
            return
        known = answer_tokens(body)
        drawn = self._source.draw(self._draw, tokens)
        self._said += known or [token for token in drawn if isinstance(token, int)]


class ChatDialogue:
    """A conversation over the chat endpoint: messages that alternate."""

    def __init__(self) -> None:
        self._messages: list[Mapping[str, str]] = []

    def ask(self, call: Call) -> Messages:
        """Return what a call sends: all messages so far, and its own."""
        if call.prefix is not None:
            self._messages.append({"role": "system", "content": str(call.prefix)})
        self._messages.append({"role": "user", "content": str(call.content)})
        return tuple(self._messages)

    def hear(self, body: bytes, tokens: int) -> None:
        """Take the body of an answer."""
        del tokens
        self._messages.append({"role": "assistant", "content": answer_text(body)})


Dialogue = TokenDialogue | ChatDialogue


def answer_tokens(body: bytes) -> list[int] | None:
    """Return the token ids that a streamed answer's chunks hold, None where they hold none."""
    found: list[int] = []
    for choice in _choices(body):
        ids = choice.get("token_ids")
        if isinstance(ids, list):
            found += [token for token in cast("list[Any]", ids) if isinstance(token, int)]
    return found or None


def answer_text(body: bytes) -> str:
    """Return the text of a streamed answer, of either endpoint."""
    return "".join(str(choice.get("text") or _delta(choice).get("content") or "") for choice in _choices(body))


def _delta(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    delta = choice.get("delta")
    return cast("Mapping[str, Any]", delta) if isinstance(delta, dict) else {}


def _choices(body: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the first choice of every chunk; the body has been judged already, what is no chunk is passed over."""
    for line in body.splitlines():
        if not line.startswith(b"data:") or b'"choices"' not in line:
            continue
        chunk: Any = json.loads(line[5:])
        choices = cast("Sequence[Any]", chunk.get("choices") or ())
        if choices and isinstance(choices[0], dict):
            yield cast("Mapping[str, Any]", choices[0])
