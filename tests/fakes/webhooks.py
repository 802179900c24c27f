"""Webhook sinks for tests: started as processes, asked what they got."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("webhook_sink.py")


@dataclass(frozen=True, slots=True)
class RunningSink:
    """A sink at work."""

    url: str
    kept: Path

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What was posted, in order."""
        return [json.loads(line) for line in self.kept.read_text().splitlines()] if self.kept.exists() else []

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The payloads alone."""
        return [request["body"] for request in self.requests]


@contextmanager
def sink(kept: Path, mode: str = "ok") -> Generator[RunningSink]:
    """Run a sink while the context lasts."""
    with subprocess.Popen(
        [sys.executable, PROGRAM, kept, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield RunningSink(process.stdout.readline().strip(), kept)
        finally:
            process.kill()
