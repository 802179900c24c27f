"""A completions server that keeps to a timetable and writes down what it really did: `python truth_server.py`.

Every request's first token leaves FIRST seconds after its bytes were read, each next one STEP seconds later. The truth
is not the timetable: it is the monotonic time at which each request was read and each token was handed to the kernel,
on the clock that a client on the same machine reads. GET /truth gives it as JSON, one object a request in order of
arrival: `received`, `sent` (one time an event), and `prompt`, the beginning of its token ids, to tell requests apart.
POST /truth forgets it.

The body of a request is searched for its length and its prompt, nothing else, so that hundreds of streams cost little.
"""

import argparse
import asyncio
import heapq
import json
import re
import ssl
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import uvloop

MODEL = "truth"
_TOKENS = re.compile(rb'"max_(?:completion_)?tokens": ?(\d+)')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PROMPT = re.compile(rb'"prompt": ?\[([^\]]*)\]')
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
_TICK = 0.0005
_PROMPT_KEPT = 64


@dataclass(slots=True)
class Answer:
    """What was done for one request."""

    received: float
    tokens: int
    prompt_tokens: int
    prompt: str
    chat: bool
    sent: "array[float]" = field(default_factory=lambda: array("d"))


class Timetable:
    """Sends what is due: one timer for all streams, since a timer for each would cost more than the sending."""

    def __init__(self, first: float, step: float, tokens_per_event: int) -> None:
        self.first, self.step, self.tokens_per_event = first, step, tokens_per_event
        self.answers: list[Answer] = []
        self._due: list[tuple[float, int, Stream]] = []
        self._order = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = float("inf")

    def add(self, at: float, stream: "Stream") -> None:
        """Let a stream send its next token at this time."""
        self._order += 1
        heapq.heappush(self._due, (at, self._order, stream))
        self._wake()

    def _wake(self) -> None:
        if self._due and self._due[0][0] < self._wakes_at - _TICK:
            if self._timer is not None:
                self._timer.cancel()
            self._wakes_at = self._due[0][0]
            self._timer = self._loop.call_later(max(self._wakes_at - time.monotonic(), 0.0), self._send_due)

    def _send_due(self) -> None:
        self._timer, self._wakes_at = None, float("inf")
        due, now = self._due, time.monotonic()
        while due and due[0][0] <= now + _TICK:
            at, _, stream = heapq.heappop(due)
            if stream.send_next():
                self._order += 1
                heapq.heappush(due, (at + self.step, self._order, stream))
        self._wake()


class Stream:
    """One answer under way."""

    def __init__(self, answer: Answer, write: Callable[[bytes], None], tokens_per_event: int) -> None:
        self.answer = answer
        self._write = write
        self._events = -(-answer.tokens // tokens_per_event)
        self._chunk = _framed(_event(tokens_per_event, chat=answer.chat))
        self.closed = False

    def send_next(self) -> bool:
        """Send an event, and say whether there are more."""
        answer = self.answer
        if self.closed:
            return False
        data = self._chunk if answer.sent else _STREAM_HEAD + self._chunk
        answer.sent.append(time.monotonic())
        self._write(data)
        if len(answer.sent) < self._events:
            return True
        usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.tokens}
        last = json.dumps({"choices": [], "usage": usage | {"total_tokens": answer.prompt_tokens + answer.tokens}})
        self._write(_framed(f"data: {last}\n\n".encode()) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        return False


class Server(asyncio.Protocol):
    """One connection."""

    def __init__(self, timetable: Timetable) -> None:
        self._timetable = timetable
        self._buffer = b""
        self._stream: Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Write at once, so that the time before a write is the time of its system call."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop sending to it."""
        del exc
        if self._stream is not None:
            self._stream.closed = True

    def data_received(self, data: bytes) -> None:
        """Collect whole requests."""
        now = time.monotonic()
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        while end >= 0:
            length = _LENGTH.search(self._buffer, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            request, self._buffer = self._buffer[:whole], self._buffer[whole:]
            self._answer(request, now)
            end = self._buffer.find(b"\r\n\r\n")

    def _answer(self, request: bytes, now: float) -> None:
        line = request[: request.index(b"\r\n")]
        if line.startswith(b"POST /v1/"):
            tokens, prompt = _TOKENS.search(request), _PROMPT.search(request)
            answer = Answer(
                received=now,
                tokens=int(tokens[1]) if tokens else 16,
                prompt_tokens=prompt[1].count(b",") + 1 if prompt else 8,
                prompt=prompt[1][:_PROMPT_KEPT].decode() if prompt else "",
                chat=b"/chat/" in line,
            )
            self._timetable.answers.append(answer)
            self._stream = Stream(answer, self._transport.write, self._timetable.tokens_per_event)
            self._timetable.add(now + self._timetable.first, self._stream)
        elif line.startswith(b"POST /truth"):
            self._timetable.answers.clear()
            self._reply(b"{}", "application/json")
        else:
            self._reply(*_page(line, self._timetable))

    def _reply(self, body: bytes, kind: str) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def _page(line: bytes, timetable: Timetable) -> tuple[bytes, str]:
    if line.startswith(b"GET /truth"):
        truth = [
            {"received": each.received, "sent": each.sent.tolist(), "prompt": each.prompt} for each in timetable.answers
        ]
        return json.dumps(truth).encode(), "application/json"
    if line.startswith(b"GET /v1/models"):
        return json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode(), "application/json"
    if line.startswith(b"GET /metrics"):
        return _metrics(timetable).encode(), "text/plain"
    return b"{}", "application/json"


def _metrics(timetable: Timetable) -> str:
    begun = [each for each in timetable.answers if each.sent]
    made = [min(len(each.sent) * timetable.tokens_per_event, each.tokens) for each in timetable.answers]
    running = sum(some < each.tokens for some, each in zip(made, timetable.answers, strict=True))
    return "\n".join(
        (
            f"vllm:num_requests_running {running}.0",
            "vllm:num_requests_waiting 0.0",
            f"vllm:prompt_tokens_total {sum(each.prompt_tokens for each in begun)}.0",
            f"vllm:generation_tokens_total {sum(made)}.0",
            f"vllm:time_to_first_token_seconds_sum {sum(each.sent[0] - each.received for each in begun)}",
            f"vllm:time_to_first_token_seconds_count {len(begun)}.0",
            "",
        )
    )


def _event(tokens: int, *, chat: bool) -> bytes:
    text = " the" * tokens
    choice = (
        f'{{"index":0,"delta":{{"content":"{text}"}},"logprobs":null,"finish_reason":null,"token_ids":null}}'
        if chat
        else f'{{"index":0,"text":"{text}","logprobs":null,"finish_reason":null,"stop_reason":null,"token_ids":null}}'
    )
    kind = "chat.completion.chunk" if chat else "text_completion"
    return (
        f'data: {{"id":"cmpl-0123456789abcdef0123456789abcdef","object":"{kind}","created":1764000000,'
        f'"model":"{MODEL}","choices":[{choice}]}}\n\n'
    ).encode()


def _framed(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def _serve(options: argparse.Namespace) -> None:
    timetable = Timetable(options.first / 1e3, options.step / 1e3, options.tokens_per_event)
    tls = None
    if options.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.certificate, options.key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(timetable), "127.0.0.1", options.port, backlog=4096, ssl=tls)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--first", type=float, default=20.0, help="milliseconds")
    parser.add_argument("--step", type=float, default=10.0, help="milliseconds")
    parser.add_argument("--tokens-per-event", type=int, default=1)
    parser.add_argument("--certificate", default="")
    parser.add_argument("--key", default=None)
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
