"""A running study on the terminal, and where there is none."""

import io
from datetime import UTC, datetime

from rich.console import Console

from tests.fakes.builders import make_point, make_trial
from tuner.cli.progress import line, progress
from tuner.domain.events import (
    Event,
    LoadPointMeasured,
    PhaseStarted,
    Progress,
    StudyFinished,
    StudyStarted,
    TrialFinished,
    TrialRetried,
    TrialStarted,
)
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.measurement import Capacity
from tuner.domain.trial import TrialRole, TrialState

BUSY = Failure(kind=FailureKind.GPU_BUSY, evidence="Free memory on device cuda:0 is less than desired")
MEASURED = make_trial(3, flags={"max-num-seqs": 8}, capacity=Capacity(rps=6, lower_rps=5.5, upper_rps=8))
FAILED = make_trial(4, state=TrialState.FAILED, failure=BUSY)
STORY: list[Event] = [
    StudyStarted("night", 3, 8, 3600.0),
    TrialStarted(3, TrialRole.SAMPLED, {"max-num-seqs": 8}, 1),
    PhaseStarted(3, "start-up"),
    PhaseStarted(3, "load point 1 (2 req/s)", 50.0),
    Progress(3, 10, 100),
    LoadPointMeasured(3, make_point(2.0)),
    TrialFinished(MEASURED, best=3),
    TrialRetried(4, BUSY),
    TrialFinished(FAILED, best=3),
    StudyFinished("the time is up", 4),
]


def told(console: Console, events: list[Event]) -> None:
    with progress(console, now=lambda: datetime(2026, 1, 1, tzinfo=UTC), clock=lambda: 100.0) as (observe, _):
        for event in events:
            observe(event)


def test_without_a_terminal_there_is_one_plain_line_for_each_phase():
    written = io.StringIO()
    told(Console(file=written, width=200), STORY)
    lines = written.getvalue().splitlines()
    assert len(lines) == len(STORY) - 1
    assert "\x1b" not in written.getvalue()
    assert lines[0].endswith("study night: 8 trials · 1 h 00 min, 3 of them done")
    assert lines[2].endswith("trial 3: start-up")
    assert lines[3].endswith("load point 1 (2 req/s), about 50 s")


def test_a_finished_trial_says_its_capacity_and_the_best_so_far():
    text = line(TrialFinished(MEASURED, best=3), {3: MEASURED})
    assert text == "trial 3: capacity 6 req/s (5.5–8); best so far: trial 3, 6 req/s (5.5–8)"


def test_a_failed_trial_says_why_in_one_line():
    text = line(TrialFinished(FAILED, best=None), {})
    assert text == f"trial 4: failed: gpu_busy: {BUSY.evidence}"


def test_on_a_terminal_the_view_shows_trial_phase_best_and_last_failure():
    written = io.StringIO()
    console = Console(file=written, width=120, force_terminal=True, color_system=None)
    told(console, STORY[:-1])
    text = written.getvalue()
    for part in (
        "study night",
        "5 of 8 trials",
        "load point 1 (2 req/s)",
        "best so far: trial 3",
        "last failure: trial 4",
    ):
        assert part in text, part


def test_hostile_text_never_becomes_markup():
    written = io.StringIO()
    failure = Failure(kind=FailureKind.UNKNOWN, evidence="[red]boo[/red] [link=x]y")
    told(
        Console(file=written, width=200, markup=False),
        [TrialFinished(make_trial(1, state=TrialState.FAILED, failure=failure), None)],
    )
    assert "[red]boo[/red] [link=x]y" in written.getvalue()
