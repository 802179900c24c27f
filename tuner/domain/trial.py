"""Trials, launches and studies as they are stored and read back."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime

from tuner.domain.base import Frozen
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.study import StudySpec


class TrialRole(StrEnum):
    """Where a trial's configuration came from."""

    BASELINE = "baseline"
    """Trial 0: vLLM's defaults, the tuned flags omitted."""
    CANDIDATE = "candidate"
    """Named by the user."""
    SUGGESTED = "suggested"
    """From the planner's arithmetic: the head start."""
    WARM_START = "warm_start"
    """Among the best of an earlier study, measured anew."""
    SAMPLED = "sampled"


class TrialState(StrEnum):
    """What became of a trial."""

    RUNNING = "running"
    MEASURED = "measured"
    """It has figures."""
    FAILED = "failed"
    """It could not be measured; `failure` says why."""
    INFEASIBLE = "infeasible"
    """Refused before a launch, by arithmetic or by vLLM's own rules."""
    DUPLICATE = "duplicate"
    """The same configuration, resolved as vLLM resolves it, was measured before."""
    INTERRUPTED = "interrupted"
    """The tuner stopped while it ran; it is asked again."""

    @property
    def is_counted(self) -> bool:
        """Whether it uses up the budget of trials: it needed a launch and came to an end."""
        return self in {TrialState.MEASURED, TrialState.FAILED}

    @property
    def is_unlaunched(self) -> bool:
        """Whether it ended without a launch."""
        return self in {TrialState.INFEASIBLE, TrialState.DUPLICATE}


class Purpose(StrEnum):
    """What a trial's configuration was launched for."""

    MEASURE = "measure"
    """For the trial's own figures."""
    DRIFT = "drift"
    """To see whether the machine still measures as it did: the baseline again, between two trials."""
    CONFIRM = "confirm"
    """To measure a finalist or the baseline again before it is named."""
    REFINE = "refine"
    """For load points that the trial's own launch lacks."""


STARTUP = "startup_s"
"""Key of a launch's `resolved` that holds the seconds of each phase of its start."""
EXPOSED = "listens_beyond_loopback"
"""Key of a launch's `resolved` that holds where its processes listened for other machines; absent where nowhere."""


class Provenance(Frozen):
    """What a launch ran on and with. None is unknown."""

    device: str | None = None
    """GPU model, or CPU model for a CPU engine."""
    device_count: int | None = None
    device_memory_bytes: int | None = None
    driver: str | None = None
    vllm_version: str | None = None
    tuner_version: str | None = None
    model_identity: str | None = None
    """Hash of the model's configuration and weight names, or the hub revision."""
    host_cpus: int | None = None
    python: str | None = None
    """Version of the interpreter that runs vLLM."""


class Launch(Frozen):
    """One life of a server process."""

    id: int
    trial_id: int
    attempt: int
    """1 for the trial's first launch."""
    purpose: Purpose = Purpose.MEASURE
    argv: tuple[str, ...]
    log_path: str
    started_at: AwareDatetime
    ready_after: float | None = None
    """Seconds from start to the first correct completion; None when it never came."""
    ended_at: AwareDatetime | None = None
    exit_code: int | None = None
    """As the operating system gave it; negative is a signal."""
    capacity: Capacity | None = None
    """What its own load points show; None where they were not all measured, or were not searched for one."""
    failure: Failure | None = None
    resolved: dict[str, Any] = {}
    """Settings in force, read from the server's log and metrics; `STARTUP` and `EXPOSED` hold more."""
    provenance: Provenance = Provenance()

    @property
    def was_interrupted(self) -> bool:
        """Whether it has neither figures nor a failure: it is under way, or the tuner was stopped meanwhile."""
        return self.capacity is None and self.failure is None


class Trial(Frozen):
    """One engine configuration of a study, with what was measured of it."""

    id: int
    """Optuna's trial id: the key of every table."""
    number: int
    """Position within the study, from 0."""
    role: TrialRole
    state: TrialState
    flags: dict[str, FlagValue]
    """The flags that distinguish this trial: the tuned ones, or a candidate's."""
    resolved: dict[str, FlagValue | None] = {}
    """The same settings as vLLM resolves them, defaults included."""
    fingerprint: str = ""
    """Hash of the resolved configuration: equal means the same server."""
    duplicate_of: int | None = None
    """Number of the trial that measured the same configuration."""
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    capacity: Capacity | None = None
    values: dict[str, float] = {}
    """Objective values, by objective name; empty unless measured."""
    failure: Failure | None = None
    load_points: tuple[LoadPoint, ...] = ()
    launches: tuple[Launch, ...] = ()

    @property
    def judged_points(self) -> tuple[LoadPoint, ...]:
        """The load points of its last launch to measure it: what an earlier, failed one measured is not judged."""
        later = {launch.attempt for launch in self.launches if launch.purpose is not Purpose.MEASURE}
        return self.points_of(judged_attempt((point.attempt for point in self.load_points), later))

    @property
    def failure_kind(self) -> FailureKind | None:
        """What kind of failure it came to, None where it did not fail."""
        return self.failure.kind if self.failure else None

    def points_of(self, attempt: int) -> tuple[LoadPoint, ...]:
        """Return the load points of one launch."""
        return tuple(point for point in self.load_points if point.attempt == attempt)

    def launches_for(self, purpose: Purpose) -> tuple[Launch, ...]:
        """Return the launches for a purpose, oldest first."""
        return tuple(launch for launch in self.launches if launch.purpose is purpose)

    @property
    def seconds(self) -> float | None:
        """How long it took, later launches of its configuration left out; None while it runs."""
        return _seconds(self.started_at, self.ended_at)

    @property
    def seconds_later(self) -> float:
        """How long the launches of its configuration took that were not for its own figures."""
        later = [launch for launch in self.launches if launch.purpose is not Purpose.MEASURE]
        return sum(_seconds(launch.started_at, launch.ended_at) or 0.0 for launch in later)

    @property
    def load_cost(self) -> "LoadCost":
        """What all its load points took."""
        return LoadCost(
            load_points=len(self.load_points),
            requests=sum(point.summary.completed + point.summary.failed for point in self.load_points),
            seconds=sum(point.duration for point in self.load_points),
        )


def measured_baseline(trials: Iterable[Trial]) -> Trial | None:
    """Return the measured trial of vLLM's defaults, None before there is one."""
    return next((one for one in trials if one.role is TrialRole.BASELINE and one.state is TrialState.MEASURED), None)


def judged_attempt(attempts: Iterable[int], later: AbstractSet[int]) -> int:
    """Return which launch a trial is judged by: the last with load points that was for its own figures."""
    return max((attempt for attempt in attempts if attempt not in later), default=1)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()


class LoadCost(Frozen):
    """What a trial's load points took: the price of its figures."""

    load_points: int
    requests: int
    """Requests that ended, whatever became of them."""
    seconds: float


class Study(Frozen):
    """A stored study."""

    id: int
    """Optuna's study id."""
    name: str
    spec: StudySpec
    created_at: AwareDatetime
    provenance: Provenance
