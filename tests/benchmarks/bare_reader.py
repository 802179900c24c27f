"""The least that a client can do: connect, send, and note the time of every event. It judges and checks nothing.

An `asyncio.Protocol` on uvloop with httptools: what the ruler's CPU time per token is held against.
"""

import argparse
import asyncio
import gc
import json
import time
from typing import cast

import httptools
import uvloop


class Reader(asyncio.Protocol):
    """One connection, one request after another."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._times: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready to send."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send the next request, if there is one left."""
        if self._run.left:
            self._run.left -= 1
            self._parser = httptools.HttpResponseParser(self)
            self._times = [time.monotonic()]
            self._transport.write(self._run.payload)

    def data_received(self, data: bytes) -> None:
        """Read the clock and parse."""
        self._now = time.monotonic()
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Note an event."""
        del body
        self._times.append(self._now)

    def on_message_complete(self) -> None:
        """Keep the times, and go on."""
        self._run.done(self._times)
        self.send()


class Run:
    """Requests to send, and what came back."""

    def __init__(self, payload: bytes, requests: int) -> None:
        self.payload = payload
        self.left = requests
        self.times: list[list[float]] = []
        self.all_done = asyncio.get_running_loop().create_future()
        self._requests = requests

    def done(self, times: list[float]) -> None:
        """Keep one request's times: sending, then one a body piece, the last two are usage and the end."""
        self.times.append(times)
        if len(self.times) == self._requests:
            self.all_done.set_result(None)


async def _main(options: argparse.Namespace) -> None:
    fields = {"model": "truth", "prompt": [7] * 32, "max_tokens": options.tokens, "stream": True}
    body = json.dumps(fields).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    run = Run(head.encode() + body, options.requests)
    loop = asyncio.get_running_loop()
    readers: list[Reader] = []
    for _ in range(options.concurrency):
        _, reader = await loop.create_connection(lambda: Reader(run), "127.0.0.1", options.port)
        readers.append(reader)
    gc.collect()
    gc.freeze()
    gc.disable()
    began = time.process_time()
    for reader in readers:
        reader.send()
        await asyncio.sleep(0.001)
    await run.all_done
    cpu = time.process_time() - began
    tokens = sum(len(times) - 3 for times in run.times)
    ttft = [times[1] - times[0] for times in run.times]
    tpot = [(times[-3] - times[1]) / (len(times) - 4) for times in run.times]
    print(json.dumps({"cpu_s": cpu, "tokens": tokens, "ttft_s": ttft, "tpot_s": tpot}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    uvloop.run(_main(parser.parse_args()))
