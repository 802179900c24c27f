"""A server with a fixed number of slots and a fixed service time: a queue whose capacity is known, over HTTP.

Requests take a slot in order of arrival, stay in it for the service time, and get the first token a given time after
they took it and the last token at the end. Streams look like vLLM's. It prints its URL once it listens.

    python slot_server.py SLOTS SERVICE_S FIRST_TOKEN_S
"""

import asyncio
import json
import sys
from collections import deque
from typing import cast

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


class Slots:
    """First come, first served. A slot is free at an exact time, so that delays of the loop don't add up."""

    def __init__(self, count: int, service_s: float, first_token_s: float) -> None:
        """Start with all slots free."""
        self.service_s = service_s
        self.first_token_s = first_token_s
        self._free_at = deque([0.0] * count)

    def take(self, now: float) -> float:
        """Return when a request that arrives now gets its slot: with equal services, slots come free in turn."""
        begun = max(now, self._free_at.popleft())
        self._free_at.append(begun + self.service_s)
        return begun


class Connection(asyncio.Protocol):
    """One client: completions, one after the other."""

    def __init__(self, slots: Slots) -> None:
        """Serve from slots that all connections share."""
        self._slots = slots
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods

    def data_received(self, data: bytes) -> None:
        """Take a request as soon as all its bytes are there."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if len(body) >= length:
            self._received = body[length:]
            self._serve(json.loads(body[:length]))

    def _serve(self, asked: dict[str, object]) -> None:
        loop = asyncio.get_running_loop()
        begun = self._slots.take(loop.time())
        prompt = asked.get("prompt")
        tokens = len(prompt) if isinstance(prompt, list) else 1  # pyright: ignore[reportUnknownArgumentType]
        loop.call_at(begun + self._slots.first_token_s, self._send, HEAD + _chunk(_event("a")))
        last = _chunk(_event("b", "length")) + _chunk(_usage(tokens)) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        loop.call_at(begun + self._slots.service_s, self._send, last)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _event(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "stop_reason": None}
    return _data({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "slots", "choices": [choice]})


def _usage(prompt_tokens: int) -> bytes:
    usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens + 2, "completion_tokens": 2}
    return _data(
        {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "slots", "choices": [], "usage": usage}
    )


def _data(event: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def main(slots: int, service_s: float, first_token_s: float) -> None:
    """Listen on a free port until terminated, or until its standard input ends."""
    shared = Slots(slots, service_s, first_token_s)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(shared), "127.0.0.1", 0, backlog=1024)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), server.close)  # whoever started it is gone
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
