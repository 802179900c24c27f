"""A measurement of a running server while it goes on: a live line where there is a terminal, plain ones elsewhere."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tuner.cli.histogram import bar
from tuner.cli.text import clock_text, duration_text, joined

_REFRESH_PER_S = 2
_LINE_EVERY_S = 10.0
_BAR_WIDTH = 30


@dataclass(slots=True)
class Advance:
    """How far the measurement is. Times are readings of the injected clock."""

    clock: Callable[[], float]
    what: str
    """What is measured, in a few words."""
    seconds: float | None = None
    """For how long requests are sent; None when their number bounds the run."""
    began: float | None = None
    """When the load began; None before."""
    done: int = 0
    total: int = 0

    def update(self, done: int, total: int) -> None:
        """Take what the load generator reports."""
        if self.began is None:
            self.began = self.clock()
        self.done, self.total = done, total

    @property
    def share(self) -> float:
        """How much of the run is over, 0 to 1."""
        if self.seconds is None:
            return self.done / self.total if self.total else 0.0
        return min(self._elapsed() / self.seconds, 1.0)

    def text(self) -> str:
        """Return where it stands in one line."""
        if self.began is None:
            return joined([self.what, "preparing"])
        elapsed = self._elapsed()
        requests = f"{self.done} of {self.total}" if self.seconds is None else f"{self.done}"
        bound = f" of {duration_text(self.seconds)}" if self.seconds is not None else ""
        rate = f"{self.done / elapsed:.1f}/s" if self.done and elapsed > 0 else ""
        return joined([self.what, f"{requests} requests done", f"{duration_text(elapsed)}{bound}", rate])

    def _elapsed(self) -> float:
        return self.clock() - self.began if self.began is not None else 0.0


class _LiveLine:
    """Renders the advance afresh at every refresh, so that the time moves between reports."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def __rich__(self) -> Text:
        advance = self._advance
        filled = bar(advance.share, _BAR_WIDTH)
        return Text(f"{filled:<{_BAR_WIDTH}}▏ {advance.text()}", style="cyan", overflow="ellipsis", no_wrap=True)


@contextmanager
def bench_progress(
    console: Console,
    advance: Advance,
    *,
    now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Callable[[int, int], None]]:
    """Show a running measurement; yields what to tell of requests done and requests in all.

    Args:
        console: Where to show it: a live line if it is a terminal, else a plain one every ten seconds.
        advance: Kept up to date, and shown.
        now: The wall clock, for the labels of plain lines.
        clock: A monotonic clock, for the pauses between them.
    """
    if console.is_terminal:
        with Live(_LiveLine(advance), console=console, refresh_per_second=_REFRESH_PER_S, transient=True):
            yield advance.update
        return
    due = clock()

    def report(done: int, total: int) -> None:
        nonlocal due
        advance.update(done, total)
        if clock() >= due:
            due = clock() + _LINE_EVERY_S
            with suppress(OSError):  # a terminal that is gone is no reason to lose a measurement
                console.print(f"{clock_text(now())}  {advance.text()}", soft_wrap=True)

    yield report
