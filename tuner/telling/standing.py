"""Where a study stands, folded from its events. Pure: the clock's reading is handed in, nothing is sent from here.

A standing is immutable, so that the thread of an endpoint can read it while the study goes on. It keeps figures, never
load points: a night of hundreds of trials stays small.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from tuner.domain.events import (
    Event,
    MeasuredAgain,
    PhaseStarted,
    Progress,
    Relaunched,
    StudyFinished,
    StudyStarted,
    TrialFinished,
    TrialRetried,
    TrialStarted,
)
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Trial, TrialRole, TrialState

_Key = TypeVar("_Key")


class Phase(StrEnum):
    """What a study is doing."""

    PREPARING = "preparing"
    """Before its first trial."""
    WAITING = "waiting"
    """A trial waits for its turn, or until the machine is fit for it."""
    STARTING = "start-up"
    WARMING_UP = "warm-up"
    LOADING = "load"
    STOPPING = "stop"
    OTHER = "other"
    """A phase of a trial that is none of these."""
    BETWEEN = "between-trials"
    ENDED = "ended"


_PHASES = {
    "waiting": Phase.WAITING,
    "start-up": Phase.STARTING,
    "warm-up": Phase.WARMING_UP,
    "load point": Phase.LOADING,
    "stop": Phase.STOPPING,
}
"""How the events' phases begin."""


@dataclass(frozen=True, slots=True)
class Found:
    """A measured configuration, in short."""

    number: int
    flags: Mapping[str, FlagValue]
    capacity: Capacity


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a study is, what it found, and what went wrong."""

    study: str
    target_rps: float
    at: float
    """The clock's reading at the last event."""
    started: bool = False
    """Whether the study's own work has begun: before, it may still be refused."""
    outcomes: Mapping[TrialState, int] = field(default_factory=dict[TrialState, int])
    """Finished trials by what became of them, those of earlier sessions included."""
    failures: Mapping[FailureKind, int] = field(default_factory=dict[FailureKind, int])
    """Failed launches and trials, those of earlier sessions included; a retried launch counts each time."""
    found: Mapping[int, Found] = field(default_factory=dict[int, Found])
    """Measured trials by number."""
    best: int | None = None
    budget_trials: int | None = None
    ends_at: float | None = None
    """The clock's reading at which the budget of time is over; None without one."""
    spent_s: float = 0.0
    """Seconds that the trials which count against the budget took."""
    phase: Phase = Phase.PREPARING
    trial: int | None = None
    """Number of the trial at work, or of the last one."""
    baseline: int | None = None
    """Number of the last trial of vLLM's defaults."""
    requests_done: int = 0
    requests_planned: int = 0
    """Of the load point at work; 0 outside of one."""
    ready_s: float | None = None
    """Seconds that the last launch that became ready took to it."""
    failure: Failure | None = None
    """The last one."""
    reason: str = ""
    """Why the study finished, in words."""

    def after(self, event: Event, at: float) -> "Standing":  # noqa: PLR0911  # one case for each event
        """Return the standing after an event, `at` being the clock's reading."""
        match event:
            case StudyStarted():
                return self._begun(event, at)
            case TrialStarted(number=number, role=role):
                baseline = number if role is TrialRole.BASELINE else self.baseline
                return replace(self, at=at, trial=number, baseline=baseline)
            case PhaseStarted(number=number, phase=phase):
                return replace(self, at=at, trial=number, phase=_phase(phase), requests_done=0, requests_planned=0)
            case Progress(done=done, total=total):
                return replace(self, at=at, requests_done=done, requests_planned=total)
            case Relaunched(number=number):
                return replace(self, at=at, trial=number)
            case MeasuredAgain(failure=failure):
                return self._after_repeat(failure, at)
            case TrialRetried(failure=failure):
                return replace(self, at=at, failures=_counted(self.failures, [failure.kind]), failure=failure)
            case TrialFinished(trial=trial, best=best):
                return replace(self._with(trial), at=at, best=best, phase=Phase.BETWEEN)
            case StudyFinished(reason=reason):
                return replace(self, at=at, phase=Phase.ENDED, reason=reason)
            case _:
                return replace(self, at=at)

    def _after_repeat(self, failure: Failure | None, at: float) -> "Standing":
        between = replace(self, at=at, phase=Phase.BETWEEN, requests_done=0, requests_planned=0)
        if failure is None:
            return between
        return replace(between, failures=_counted(self.failures, [failure.kind]), failure=failure)

    @property
    def best_found(self) -> Found | None:
        """The best trial so far."""
        return None if self.best is None else self.found.get(self.best)

    @property
    def trials_done(self) -> int:
        """How many trials count against the budget."""
        return sum(count for state, count in self.outcomes.items() if state.is_counted)

    def seconds_left(self, now: float) -> float | None:
        """Return about how many seconds the study will still take, None where nothing is known.

        The nearer of the end by the clock and of the trials that are left, each taking the mean of those done.
        """
        bounds = [] if self.ends_at is None else [self.ends_at - now]
        if self.budget_trials is not None and self.trials_done:
            bounds.append((self.budget_trials - self.trials_done) * self.spent_s / self.trials_done)
        return max(min(bounds), 0.0) if bounds else None

    def _begun(self, event: StudyStarted, at: float) -> "Standing":
        standing = replace(
            self,
            at=at,
            started=True,
            budget_trials=event.trials,
            ends_at=None if event.seconds is None else at + event.seconds,
        )
        for trial in event.history:
            standing = standing._with(trial, retried=_retried(trial))  # noqa: SLF001  # one of its own
        return replace(standing, best=event.best, failure=None)

    def _with(self, trial: Trial, retried: Sequence[FailureKind] = ()) -> "Standing":
        kinds = [*retried] if trial.failure is None else [*retried, trial.failure.kind]
        took = (trial.seconds or 0.0) if trial.state.is_counted else 0.0
        ready = [launch.ready_after for launch in trial.launches if launch.ready_after is not None]
        return replace(
            self,
            outcomes=_counted(self.outcomes, [trial.state]),
            failures=_counted(self.failures, kinds),
            found=self.found if trial.capacity is None else {**self.found, trial.number: _found(trial, trial.capacity)},
            spent_s=self.spent_s + took,
            ready_s=ready[-1] if ready else self.ready_s,
            requests_done=0,
            requests_planned=0,
            failure=trial.failure or self.failure,
        )


def _phase(text: str) -> Phase:
    return next((phase for beginning, phase in _PHASES.items() if text.startswith(beginning)), Phase.OTHER)


def _found(trial: Trial, capacity: Capacity) -> Found:
    return Found(trial.number, trial.flags, capacity)


def _retried(trial: Trial) -> list[FailureKind]:
    """Return the failures of a stored trial's launches, but for the one that ended the trial itself."""
    kinds = [launch.failure.kind for launch in trial.launches if launch.failure is not None]
    if kinds and trial.failure is not None and trial.failure.kind is kinds[-1]:
        return kinds[:-1]
    return kinds


def _counted(counts: Mapping[_Key, int], keys: Iterable[_Key]) -> Mapping[_Key, int]:
    summed = dict(counts)
    for key in keys:
        summed[key] = summed.get(key, 0) + 1
    return summed
