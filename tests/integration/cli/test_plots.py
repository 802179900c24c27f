"""Plots where a terminal allows them, tables alone elsewhere."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.workbench import ROOT


def pieces(terminal: int) -> Iterator[bytes]:
    """Yield what comes until the other end is closed, which Linux tells by an error."""
    with suppress(OSError):
        while piece := os.read(terminal, 65536):
            yield piece


def on_a_terminal(*arguments: str, **env: str) -> str:
    """Run a command on a terminal of 120 columns and return what it showed."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tuner", *arguments, "--db", str(ROOT / "results.db")]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", **env}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
    os.close(theirs)
    shown = b"".join(pieces(ours))
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return shown.decode(errors="replace")


@pytest.mark.parametrize("command", [("pareto",), ("show", "0")])
def test_a_terminal_gets_a_plot_and_the_table(command: tuple[str, ...]):
    shown = on_a_terminal(*command)
    assert "┤" in shown
    assert "ttft_p95" in shown or "TTFT" in shown


def test_a_dumb_terminal_and_a_pipe_get_the_table_alone(tmp_path: Path):
    assert "┤" not in on_a_terminal("pareto", TERM="dumb")
    piped = subprocess.run(
        [sys.executable, "-m", "tuner", "pareto", "--db", str(ROOT / "results.db")],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert "┤" not in piped.stdout
