"""Owns what a conversation has said so far, and so what its next turn sends. Builds no HTTP and sends nothing.

An answer is read from the body of its stream by pattern, all at once, in a tenth of the time that parsing its chunks
takes: this happens while other streams are being timed. Nothing inside a JSON string can look like a key, since a quote
is escaped there.
"""

import json
import re

import numpy as np

from tuner.load.payload import Messages
from tuner.load.prompts import Content, Source
from tuner.load.sessions import Call

_TOKEN_IDS = re.compile(rb'"token_ids": ?\[([0-9, ]*)\]')
_TEXT = re.compile(rb'"(?:text|content)": ?"((?:[^"\\]|\\.)*)"')


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
        self._said += known if len(known) == tokens else [token for token in drawn if isinstance(token, int)]


class ChatDialogue:
    """A conversation over the chat endpoint: messages that alternate."""

    def __init__(self) -> None:
        self._messages: list[dict[str, str]] = []

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


def answer_tokens(body: bytes) -> list[int]:
    """Return the token ids that a streamed answer's chunks hold; empty where they hold none."""
    return [int(token) for ids in _TOKEN_IDS.findall(body) for token in ids.replace(b",", b" ").split()]


def answer_text(body: bytes) -> str:
    """Return the text of a streamed answer, of either endpoint."""
    escaped = b"".join(_TEXT.findall(body)).decode(errors="replace")
    try:
        return str(json.loads(f'"{escaped}"', strict=False))
    except ValueError:  # an escape that JSON does not know: no server's text is worth a load point
        return escaped
