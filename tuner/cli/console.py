"""The two consoles, and JSON: what a person reads, what a script reads. The one way out to a terminal.

Text from outside never becomes markup, steers no terminal, and brings no secret of the caller's environment along.
"""

import json
import os
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from tuner.domain.inert import inert
from tuner.domain.secrets import blanked, secret_values, without_secrets

_PLAIN_WIDTH = 160
"""Columns where nobody's window sets a limit: a pipe or a file."""


@cache
def secrets() -> tuple[str, ...]:
    """Return what the caller's environment and command line hold that nobody should see."""
    return secret_values(os.environ, sys.argv)


def safe(text: str) -> str:
    """Return the text as it may stand on a terminal: secrets blanked, only line feeds left of what can't be seen."""
    return inert(blanked(text, secrets()), lines=True)


class SafeConsole(Console):
    """A console that prints nothing but what can be seen, besides its own colours and movements."""

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401  # rich's own, passed on
        """Return the text as rich prints it, before it is measured and wrapped."""
        return super().render_str(safe(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is printed, text that came as no plain string included."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=inert(segment.text, lines=True))


def stdout() -> Console:
    """Return the console for results: plain text of a fixed width when it is not a terminal."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return the console for progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return SafeConsole(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def print_json(value: Any) -> None:  # noqa: ANN401  # whatever json takes
    """Print one JSON document and a line feed to standard output; what can't be seen is escaped in it."""
    text = json.dumps(without_secrets(value, secrets()), indent=2, ensure_ascii=False, allow_nan=False)
    seen = text if text.replace("\n", "").isprintable() else "".join(map(_escaped, text))
    sys.stdout.write(seen + "\n")


def _escaped(character: str) -> str:
    """Return a character of a JSON text as it is, or as JSON's escape: line feeds stand between its values only."""
    if character.isprintable() or character == "\n":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[index : index + 2].hex()}" for index in range(0, len(units), 2))


def copyable(console: Console, line: str) -> None:
    """Print a line that must be copied whole: never wrapped."""
    console.print(line, soft_wrap=True)


def plainly(console: Console, text: str) -> None:
    """Print many lines as they are, neither wrapped nor styled: rich takes a second for ten thousand."""
    console.file.write(safe(text) + "\n")
