"""A streaming server of our own in a process of its own, and jobs for it."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tuner.domain.arrivals import Arrivals, ClosedLoop
from tuner.domain.load import LoadJob
from tuner.domain.workload import Workload

FAKE = Path(__file__).parents[2] / "fakes" / "stream_server.py"


class FakeServer:
    """Where it listens, and what it saw."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        self.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"

    def truth(self) -> list[tuple[float, list[float]]]:
        """Return when each request was received and its events were sent, on the machine's monotonic clock."""
        return self._get("/truth")

    def requests(self) -> list[dict[str, Any]]:
        """Return the bodies and keys it was sent."""
        return self._get("/requests")

    def connections(self) -> int:
        """Return how many connections it has accepted, this one included."""
        return self._get("/connections")

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path) as answer:  # noqa: S310
            return json.load(answer)


@pytest.fixture
def serve() -> Callable[..., Any]:
    """Return a context manager that serves in a mode: `with serve("cut", first_ms=1) as server`."""

    @contextmanager
    def serving(
        mode: str = "healthy", *, first_ms: float = 5.0, gap_ms: float = 1.0, certificate: Path | None = None
    ) -> Generator[FakeServer]:
        command = [sys.executable, str(FAKE), "--mode", mode, "--first-ms", str(first_ms), "--gap-ms", str(gap_ms)]
        command += ["--certificate", str(certificate)] if certificate else []
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                yield FakeServer(json.loads(process.stdout.readline())["port"], tls=certificate is not None)
            finally:
                process.kill()

    return serving


@pytest.fixture
def make_job() -> Callable[..., LoadJob]:
    """Return a builder of jobs: eight tokens a request, six requests of three users."""

    def make(
        url: str,
        arrivals: Arrivals | None = None,
        *,
        requests: int = 6,
        output: int = 8,
        deadline: float = 20.0,
        ignore_eos: bool = True,
        workload: dict[str, Any] | None = None,
        **more: Any,
    ) -> LoadJob:
        like = {"input_tokens": 16, "output_tokens": output, "ignore_eos": ignore_eos} | (workload or {})
        return LoadJob(
            url=url,
            model="tuner-x",
            vocabulary=500,
            first_token=10,
            workload=Workload.model_validate(like),
            arrivals=arrivals or ClosedLoop(concurrency=3),
            requests=requests,
            deadline_s=deadline,
            seed=7,
            **more,
        )

    return make
