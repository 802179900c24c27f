"""A measurement while it goes on."""

import io
from datetime import UTC, datetime

from rich.console import Console

from tuner.cli.bench_progress import Advance, bench_progress

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC).astimezone()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_number_of_requests_is_counted_down():
    clock = Clock()
    advance = Advance(clock, "32 users")
    assert advance.text() == "32 users · preparing"
    assert advance.share == 0.0
    advance.update(0, 200)
    clock.now += 5
    advance.update(50, 200)
    assert advance.text() == "32 users · 50 of 200 requests done · 5 s · 10.0/s"
    assert advance.share == 0.25


def test_a_duration_is_measured_in_time():
    clock = Clock()
    advance = Advance(clock, "4 req/s", 60.0)
    advance.update(0, 999)
    clock.now += 30
    advance.update(120, 999)
    assert advance.text() == "4 req/s · 120 requests done · 30 s of 1 min 00 s · 4.0/s"
    assert advance.share == 0.5
    clock.now += 60
    assert advance.share == 1.0


def test_where_there_is_no_terminal_a_line_comes_every_ten_seconds():
    clock, out = Clock(), io.StringIO()
    advance = Advance(clock, "32 users")
    with bench_progress(Console(file=out, width=100), advance, now=lambda: NOON, clock=clock) as report:
        for done in range(25):
            report(done, 25)
            clock.now += 1
    assert [line.split(" · ")[1] for line in out.getvalue().splitlines()] == [
        "0 of 25 requests done",
        "10 of 25 requests done",
        "20 of 25 requests done",
    ]


def test_a_terminal_shows_a_bar_that_goes_away():
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    with bench_progress(console, Advance(clock, "32 users"), clock=clock) as report:
        report(5, 10)
    assert "█" * 15 + " " in out.getvalue()
    assert "5 of 10 requests done" in out.getvalue()
