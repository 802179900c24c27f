"""An OpenAI-like completions server that streams tokens on a schedule of its own, healthy or faulty.

    python stream_server.py --mode healthy --first-ms 20 --gap-ms 10

prints `{"port": N}` on its first line of stdout and serves until it is killed. It writes down when it received each
request and sent each token event, on the machine's monotonic clock: `GET /truth` returns them in order of arrival, one
`[received, [sent…]]` a request; `GET /requests` returns the bodies and Authorization headers it was sent,
`GET /connections` how many connections it accepted.
"""

import argparse
import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import httptools
import uvloop

MODES = (
    "healthy",
    "error_chunk",
    "cut",
    "cut_before_headers",
    "stall",
    "short",
    "long",
    "no_usage",
    "http_429",
    "http_500",
    "http_503",
    "slow_headers",
    "several_tokens_per_event",
    "several_events_per_write",
    "split_bytes",
    "crlf",
    "close_after_each",
    "not_http",
)
HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: fake\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
PER_EVENT = 4


class Fake:
    """What every connection shares: the settings and what was seen."""

    def __init__(self, mode: str, first: float, gap: float) -> None:
        self.mode, self.first, self.gap = mode, first, gap
        self.truth: list[tuple[float, list[float]]] = []
        self.requests: list[dict[str, Any]] = []
        self.connections = 0


class Server(asyncio.Protocol):
    """One connection."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.body = b""
        self.key = ""
        self.received = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.fake.connections += 1
        transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        self.received = time.monotonic()
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url, self.body, self.key = url, b"", ""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization":
            self.key = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.url == b"/truth":
            self.answer_json(200, self.fake.truth)
        elif self.url == b"/requests":
            self.answer_json(200, self.fake.requests)
        elif self.url == b"/connections":
            self.answer_json(200, self.fake.connections)
        elif self.parser.get_method() == b"GET":
            self.answer_json(404, {"detail": "Not Found"})
        else:
            asyncio.get_running_loop().create_task(self.complete(self.received))

    def answer_json(self, status: int, value: object, headers: str = "") -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} X\r\n{headers}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.write(body)

    async def complete(self, received: float) -> None:
        fake, request = self.fake, json.loads(self.body)
        sent: list[float] = []
        fake.truth.append((received, sent))
        fake.requests.append({"body": request, "authorization": self.key})
        if fake.mode == "http_500":
            self.answer_json(500, {"error": {"message": "the engine is dead", "code": 500}})
            return
        if fake.mode in {"http_429", "http_503"}:
            self.answer_json(int(fake.mode[-3:]), {"error": {"message": "try again later"}}, "retry-after: 1\r\n")
            return
        if fake.mode == "not_http":
            self.transport.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            return
        if fake.mode == "cut_before_headers":
            self.transport.abort()
            return
        await self.stream(request, received, sent)

    async def stream(self, request: dict[str, Any], received: float, sent: list[float]) -> None:
        fake, tokens = self.fake, request["max_tokens"]
        closes = fake.mode == "close_after_each"
        head = HEAD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") if closes else HEAD
        if fake.mode != "slow_headers":
            self.transport.write(head)
        due = received + fake.first
        if self.url.startswith(b"/v1/chat"):
            self.write(sse({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}))
        events = list(token_events(fake.mode, tokens, self.choice(request)))
        for number, event in enumerate(events):
            await asyncio.sleep(max(due - time.monotonic(), 0))
            due += fake.gap
            if fake.mode == "slow_headers" and number == 0:
                self.transport.write(HEAD)
            if number >= len(events) // 2 and self.breaks():
                return
            sent.append(time.monotonic())
            self.write(event)
        self.finish(tokens)

    def choice(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what a token's chunk holds at the endpoint that was asked."""
        shared = {"index": 0, "logprobs": None, "finish_reason": None}
        if self.url.startswith(b"/v1/chat"):
            return shared | {"delta": {"content": "é"}}
        return shared | {"text": "é"} | ({"token_ids": [42]} if request.get("return_token_ids") else {})

    def breaks(self) -> bool:
        """Do what the fault says half-way through; returns whether the stream is over for us."""
        if self.fake.mode == "error_chunk":
            self.write(
                sse({"error": {"message": "EngineCore encountered\nan issue", "code": 500}}) + b"data: [DONE]\n\n"
            )
            self.transport.write(b"0\r\n\r\n")
        elif self.fake.mode == "cut":
            self.transport.close()
        elif self.fake.mode != "stall":
            return False
        return True

    def finish(self, tokens: int) -> None:
        counted = {"short": tokens - 1, "long": tokens + 1}.get(self.fake.mode, tokens)
        usage = {"prompt_tokens": 7, "completion_tokens": counted, "total_tokens": 7 + counted}
        last = b"" if self.fake.mode == "no_usage" else sse({"choices": [], "usage": usage})
        self.write(last + b"data: [DONE]\n\n")
        self.transport.write(b"0\r\n\r\n")
        if self.fake.mode == "close_after_each":
            self.transport.close()

    def write(self, payload: bytes) -> None:
        """Write one chunk of the body."""
        if self.fake.mode == "crlf":
            payload = b": keep-alive\r\n\r\n" + payload.replace(b"\n", b"\r\n")
        chunk = b"%x\r\n%s\r\n" % (len(payload), payload)
        pieces = [chunk[at : at + 7] for at in range(0, len(chunk), 7)] if self.fake.mode == "split_bytes" else [chunk]
        for piece in pieces:
            self.transport.write(piece)


def token_events(mode: str, tokens: int, choice: dict[str, Any]) -> Iterator[bytes]:
    """Yield what is written at each step of the schedule."""
    event = sse({"id": "cmpl-1", "choices": [choice]})
    if mode == "several_events_per_write":
        yield from (event * PER_EVENT for _ in range(tokens // PER_EVENT))
    elif mode == "several_tokens_per_event":
        yield from (event for _ in range(tokens // PER_EVENT))
    else:
        yield from (event for _ in range(tokens))


def sse(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


async def serve(fake: Fake, certificate: str) -> None:
    loop = asyncio.get_running_loop()
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    server = await loop.create_server(lambda: Server(fake), "127.0.0.1", 0, backlog=4096, ssl=tls)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=MODES, default="healthy")
    parser.add_argument("--first-ms", type=float, default=20.0)
    parser.add_argument("--gap-ms", type=float, default=10.0)
    parser.add_argument("--certificate", default="", help="PEM file with certificate and key: serve TLS")
    given = parser.parse_args()
    uvloop.run(serve(Fake(given.mode, given.first_ms / 1e3, given.gap_ms / 1e3), given.certificate))


if __name__ == "__main__":
    main()
