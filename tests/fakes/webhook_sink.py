"""An executable webhook: keeps what is posted to it, and answers as it is told.

    python webhook_sink.py FILE [MODE]

FILE gets a JSON line for each request: its path, its headers, its body. Modes: `ok`; `status:503`; `once:503`, that
answer once and then 200; `redirect`, to its own /elsewhere; `silent`, no answer ever; `slow:2`, so many seconds late.
It prints its address once it listens, and ends with its standard input.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any

FOR_EVER_S = 3600


class Sink(ThreadingHTTPServer):
    """Listens on a free port of the loopback interface."""

    def __init__(self, kept: Path, mode: str) -> None:
        """Keep requests in a file, answer by a mode."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.kept = kept
        self.mode, _, self.argument = mode.partition(":")
        self.seen = 0
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """One request after another."""

    def do_POST(self) -> None:
        """Keep a request, then answer it."""
        sink = self._sink()
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        line = json.dumps({"path": self.path, "headers": dict(self.headers), "body": json.loads(body)})
        with sink.lock:
            sink.seen += 1
            first = sink.seen == 1
            with sink.kept.open("a") as file:
                file.write(line + "\n")
        if sink.mode in {"silent", "slow"}:
            sleep(float(sink.argument or FOR_EVER_S))
        self._answer(sink, first=first)

    def _answer(self, sink: Sink, *, first: bool) -> None:
        if sink.mode == "redirect":
            self.send_response(302)
            self.send_header("location", "/elsewhere")
        else:
            bad = sink.mode == "status" or (sink.mode == "once" and first)
            self.send_response(int(sink.argument) if bad else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as the base class calls it
        """Say nothing."""

    def _sink(self) -> Sink:
        assert isinstance(self.server, Sink)
        return self.server


if __name__ == "__main__":
    sink = Sink(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "ok")
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{sink.server_port}", flush=True)
    sys.stdin.read()
