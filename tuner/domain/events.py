"""What a running study tells whoever watches: one event per phase, never a measurement's path."""

from collections.abc import Callable
from dataclasses import dataclass

from tuner.domain.failure import Failure
from tuner.domain.flags import FlagValue
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.trial import Purpose, Trial, TrialRole


@dataclass(frozen=True, slots=True)
class StudyStarted:
    """The study is open; `measured` trials stood in it already."""

    study: str
    measured: int
    trials: int | None
    """The budget in trials, None when only time bounds it."""
    seconds: float | None
    """The budget in seconds from now, None when only trials bound it."""
    warnings: tuple[str, ...] = ()
    history: tuple[Trial, ...] = ()
    """The trials that stood in it already, whatever became of them."""
    best: int | None = None
    """Number of the best of them."""


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """A trial was asked for and is feasible."""

    number: int
    role: TrialRole
    flags: dict[str, FlagValue]
    attempt: int


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A trial entered a phase: `start-up`, `warm-up`, `load point 2 of at most 5 (4 req/s)`, `stop`."""

    number: int
    phase: str
    expected: float | None = None
    """Seconds it should take, where that is known."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Requests done so far in the current load point."""

    number: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class LoadPointMeasured:
    """A load point is measured."""

    number: int
    point: LoadPoint


@dataclass(frozen=True, slots=True)
class TrialFinished:
    """A trial is stored and told."""

    trial: Trial
    best: int | None
    """Number of the best trial so far."""


@dataclass(frozen=True, slots=True)
class Relaunched:
    """A measured configuration is launched again."""

    number: int
    purpose: Purpose
    flags: dict[str, FlagValue]
    attempt: int


@dataclass(frozen=True, slots=True)
class MeasuredAgain:
    """A measured configuration was measured again, or could not be."""

    number: int
    purpose: Purpose
    capacity: Capacity | None
    """What this launch shows; None where it failed."""
    before: Capacity | None
    """What the trial's own launch showed."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class TrialRetried:
    """A launch failed through the surroundings and is tried again."""

    number: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that people should know and that changes nothing: a suspicion, a step that was left out."""

    text: str


@dataclass(frozen=True, slots=True)
class StudyFinished:
    """The study ended; `reason` in words."""

    reason: str
    measured: int


Event = (
    StudyStarted
    | TrialStarted
    | PhaseStarted
    | Progress
    | LoadPointMeasured
    | TrialFinished
    | Relaunched
    | MeasuredAgain
    | TrialRetried
    | Noted
    | StudyFinished
)
Observer = Callable[[Event], None]
