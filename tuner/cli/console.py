"""The two consoles, and JSON: what a person reads, what a script reads. Text from outside never becomes markup."""

import json
import sys
from typing import Any

from rich.console import Console

_PLAIN_WIDTH = 160
"""Columns where nobody's window sets a limit: a pipe or a file."""


def stdout() -> Console:
    """Return the console for results: plain text of a fixed width when it is not a terminal."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return the console for progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def print_json(value: Any) -> None:  # noqa: ANN401  # whatever json takes
    """Print one JSON document and a line feed to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def copyable(console: Console, line: str) -> None:
    """Print a line that must be copied whole: never wrapped."""
    console.print(line, soft_wrap=True)
