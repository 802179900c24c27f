"""Studies as sequences of events, for whoever watches them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.fakes.builders import BEGAN, make_trial
from tuner.domain.events import (
    Event,
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
from tuner.domain.trial import Launch, Trial, TrialRole, TrialState
from tuner.telling.notice import Session
from tuner.telling.standing import Standing

BUSY = Failure(kind=FailureKind.GPU_BUSY, evidence="Free memory on device cuda:0 is less than desired")
OOM = Failure(kind=FailureKind.OOM_START, evidence="torch.OutOfMemoryError: CUDA out of memory", advice="Lower it.")
LATER = datetime(2026, 1, 2, 6, 0, tzinfo=UTC)
SESSION = Session(("ttft_p95 ≤ 500 ms",), "tuner resume night", "/srv/tuner", "gpu-3", BEGAN)


def launch(attempt: int = 1, *, ready: float | None = 31.5, failure: Failure | None = None) -> Launch:
    return Launch(
        id=attempt, trial_id=1, attempt=attempt, argv=(), log_path="x", started_at=BEGAN, ready_after=ready,
        failure=failure,
    )  # fmt: skip


def measured(number: int, rps: float, **changes: Any) -> Trial:
    capacity = Capacity(rps=rps, lower_rps=rps * 0.9, upper_rps=rps * 1.1, limited_by="ttft_p95")
    return make_trial(
        number, flags={"max-num-seqs": 8} if number else {}, capacity=capacity, launches=(launch(),), **changes
    )


BASELINE = measured(0, 4.0, role=TrialRole.BASELINE)
BETTER = measured(1, 6.0)
FAILED = make_trial(2, state=TrialState.FAILED, failure=OOM, launches=(launch(ready=None, failure=OOM),))
NIGHT: list[Event] = [
    StudyStarted("night", 0, 8, 3600.0),
    TrialStarted(0, TrialRole.BASELINE, {}, 1),
    PhaseStarted(0, "start-up"),
    PhaseStarted(0, "warm-up"),
    PhaseStarted(0, "load point 1 (2 req/s)", 50.0),
    Progress(0, 10, 100),
    PhaseStarted(0, "stop"),
    TrialFinished(BASELINE, best=0),
    TrialStarted(1, TrialRole.SAMPLED, {"max-num-seqs": 8}, 1),
    PhaseStarted(1, "start-up"),
    TrialRetried(1, BUSY),
    TrialStarted(1, TrialRole.SAMPLED, {"max-num-seqs": 8}, 2),
    TrialFinished(BETTER, best=1),
    TrialStarted(2, TrialRole.SAMPLED, {"max-num-seqs": 64}, 1),
    TrialFinished(FAILED, best=1),
    StudyFinished("the time is up", 3),
]
"""Eight trials were wanted; the defaults, a better one that needed two launches, and one that failed came of it."""


def told(events: Sequence[Event], *, standing: Standing | None = None, every_s: float = 10.0) -> Standing:
    """The standing after events that come at intervals, from 0 on."""
    standing = standing or Standing("night", 2.0, at=0.0)
    for index, event in enumerate(events):
        standing = standing.after(event, index * every_s)
    return standing
