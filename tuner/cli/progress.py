"""A running study on the terminal: a live view where there is one, one plain line per phase elsewhere."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tuner.cli.text import (
    capacity_text,
    clock_text,
    duration_text,
    flags_text,
    joined,
    latency_text,
    outcome_text,
    plural,
    purpose_text,
    role_text,
)
from tuner.domain.events import (
    Event,
    LoadPointMeasured,
    MeasuredAgain,
    Noted,
    Observer,
    PhaseStarted,
    Progress,
    Relaunched,
    StudyFinished,
    StudyStarted,
    TrialFinished,
    TrialRetried,
    TrialStarted,
)
from tuner.domain.failure import Failure
from tuner.domain.measurement import LoadPoint
from tuner.domain.trial import Trial, TrialState

_REFRESH_PER_S = 2


def line(event: Event, trials: dict[int, Trial]) -> str | None:  # noqa: C901, PLR0911  # one case for each event
    """Return the plain line of an event, None for those that only a live view shows."""
    match event:
        case StudyStarted():
            return _started(event)
        case TrialStarted(number=number, role=role, flags=flags, attempt=attempt):
            again = f", attempt {attempt}" if attempt > 1 else ""
            return f"trial {number} ({role_text(role)}{again}): {flags_text(flags)}"
        case PhaseStarted(number=number, phase=phase, expected=expected):
            about = f", about {duration_text(expected)}" if expected else ""
            return f"trial {number}: {phase}{about}"
        case LoadPointMeasured(number=number, point=point):
            return f"trial {number}:   {point_line(point)}"
        case TrialFinished(trial=trial, best=best):
            return _finished(trial, trials.get(best) if best is not None else None)
        case Relaunched(number=number, purpose=purpose, flags=flags):
            return f"trial {number} again ({purpose_text(purpose)}): {flags_text(flags)}"
        case MeasuredAgain():
            return _again(event)
        case TrialRetried(number=number, failure=failure):
            return f"trial {number}: {failure.kind}, trying again: {failure.evidence}"
        case Noted(text=text):
            return text
        case StudyFinished(reason=reason, measured=measured):
            return f"ended after {plural(measured, 'trial')}: {reason}"
        case Progress():
            return None


def point_line(point: LoadPoint) -> str:
    """Return a load point's figures in one line."""
    summary = point.summary
    met = "SLOs met" if summary.slo_met else "; ".join(summary.slo_violations)
    return joined(
        [
            f"{point.arrivals.label}, {plural(summary.completed, 'request')}",
            f"TTFT p95 {latency_text(summary.ttft.p95)}",
            f"TPOT p95 {latency_text(summary.tpot.p95)}",
            met,
        ]
    )


def _started(event: StudyStarted) -> str:
    bounds = joined(
        [
            plural(event.trials, "trial") if event.trials else "",
            duration_text(event.seconds) if event.seconds is not None else "",
        ]
    )
    so_far = f", {event.measured} of them done" if event.measured else ""
    return f"study {event.study}: {bounds or 'no budget, Ctrl-C ends it'}{so_far}"


def _again(event: MeasuredAgain) -> str:
    if event.failure is not None:
        return f"trial {event.number} again: {event.failure.kind}: {event.failure.evidence}"
    before = f"; its own launch: {capacity_text(event.before)}" if event.before else ""
    return f"trial {event.number} again: capacity {capacity_text(event.capacity)}{before}"


def _finished(trial: Trial, best: Trial | None) -> str:
    if trial.state is not TrialState.MEASURED:
        evidence = f": {trial.failure.evidence}" if trial.failure and trial.failure.evidence else ""
        return f"trial {trial.number}: {outcome_text(trial)}{evidence}"
    text = f"trial {trial.number}: capacity {capacity_text(trial.capacity)}"
    return f"{text}; best so far: trial {best.number}, {capacity_text(best.capacity)}" if best else text


@dataclass
class _View:
    """What the live view shows, kept from event to event. Times are readings of the injected clock."""

    clock: Callable[[], float]
    began: float
    trials: dict[int, Trial] = field(default_factory=dict[int, Trial])
    header: str = ""
    budget_trials: int | None = None
    budget_ends: float | None = None
    finished: int = 0
    trial: str = ""
    phase: str = "preparing"
    phase_began: float = 0.0
    phase_expected: float | None = None
    done: int = 0
    total: int = 0
    best: int | None = None
    failure: str = ""

    def update(self, event: Event) -> None:  # one case for each event
        match event:
            case StudyStarted():
                self.header = f"study {event.study}"
                self.finished = event.measured
                self.budget_trials = event.trials
                self.budget_ends = None if event.seconds is None else self.clock() + event.seconds
            case TrialStarted(number=number, role=role, flags=flags):
                self.trial = f"trial {number} ({role_text(role)}): {flags_text(flags)}"
            case Relaunched(number=number, purpose=purpose, flags=flags):
                self.trial = f"trial {number} again ({purpose_text(purpose)}): {flags_text(flags)}"
            case PhaseStarted(phase=phase, expected=expected):
                self.phase, self.phase_expected, self.phase_began = phase, expected, self.clock()
                self.done = self.total = 0
            case Progress(done=done, total=total):
                self.done, self.total = done, total
            case TrialFinished(trial=trial, best=best):
                self.trials[trial.number] = trial
                self.best = best
                self.finished += not trial.state.is_unlaunched
                if trial.failure is not None and not trial.state.is_unlaunched:
                    self.failure = f"trial {trial.number}: {trial.failure.kind}: {trial.failure.evidence}"
            case (
                TrialRetried(number=number, failure=failure)
                | MeasuredAgain(number=number, failure=Failure() as failure)
            ):
                self.failure = f"trial {number}: {failure.kind}: {failure.evidence}"
            case _:
                pass

    def render(self) -> RenderableType:
        now = self.clock()
        lines = [
            Text(joined([self.header, self._count(), *self._time(now)]), style="bold"),
            Text(self.trial, overflow="ellipsis", no_wrap=True),
            Text(self._phase(now), style="cyan"),
        ]
        best = self.trials.get(self.best) if self.best is not None else None
        if best is not None:
            lines.append(
                Text(f"best so far: trial {best.number}, {capacity_text(best.capacity)}, {flags_text(best.flags)}")
            )
        if self.failure:
            lines.append(Text(f"last failure: {self.failure}", style="yellow", overflow="ellipsis", no_wrap=True))
        return Group(*lines)

    def _count(self) -> str:
        return (
            f"{self.finished} of {self.budget_trials} trials" if self.budget_trials else plural(self.finished, "trial")
        )

    def _time(self, now: float) -> list[str]:
        left = self._seconds_left(now)
        return [
            f"{duration_text(now - self.began)} elapsed",
            f"about {duration_text(left)} left" if left is not None else "",
        ]

    def _seconds_left(self, now: float) -> float | None:
        by_clock = None if self.budget_ends is None else self.budget_ends - now
        durations = [
            trial.seconds
            for trial in self.trials.values()
            if not trial.state.is_unlaunched and trial.seconds is not None
        ]
        if self.budget_trials is None or not durations:
            return by_clock
        by_trials = (self.budget_trials - self.finished) * sum(durations) / len(durations)
        return by_trials if by_clock is None else min(by_clock, by_trials)

    def _phase(self, now: float) -> str:
        of = f" of about {duration_text(self.phase_expected)}" if self.phase_expected else ""
        requests = f"{self.done} of {self.total} requests" if self.total else ""
        return joined([f"  {self.phase}", f"{duration_text(now - self.phase_began)}{of}", requests])


class _LiveRenderable:
    """Renders the view afresh at every refresh, so that elapsed times move between events."""

    def __init__(self, view: _View) -> None:
        self._view = view

    def __rich__(self) -> RenderableType:
        return self._view.render()


@contextmanager
def progress(
    console: Console, *, now: Callable[[], datetime], clock: Callable[[], float] = time.monotonic
) -> Generator[tuple[Observer, Callable[[str], None]]]:
    """Show a running study; yields what to tell events to, and what to tell lines of preparation to.

    Args:
        console: Where to show it; a live view if it is a terminal.
        now: The wall clock, for the labels of plain lines.
        clock: A monotonic clock, for elapsed times.
    """
    view = _View(clock, clock(), phase_began=clock())

    def say(text: str) -> None:
        with suppress(OSError):  # a terminal that is gone is no reason to lose a night
            console.print(f"{clock_text(now())}  {text}", soft_wrap=True)

    def observe(event: Event) -> None:
        view.update(event)
        text = line(event, view.trials)
        if text is not None and not (console.is_terminal and _is_shown_live(event)):
            say(text)

    if not console.is_terminal:
        yield observe, say
        return
    with Live(_LiveRenderable(view), console=console, refresh_per_second=_REFRESH_PER_S, transient=True):
        yield observe, say


def _is_shown_live(event: Event) -> bool:
    # What needed no launch is not worth a line of its own on a terminal.
    quiet = isinstance(event, TrialFinished) and event.trial.state.is_unlaunched
    return quiet or isinstance(event, (PhaseStarted, TrialStarted))
