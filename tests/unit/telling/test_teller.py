"""What of a session is worth telling, and to which end."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest

from tests.fakes.builders import make_trial
from tests.fakes.stories import BUSY, LATER, NIGHT, OOM, SESSION
from tuner.domain.errors import BreakerError, InputError, SurroundingsError
from tuner.domain.events import Event, StudyStarted, TrialFinished, TrialRetried, TrialStarted
from tuner.domain.trial import TrialRole, TrialState
from tuner.telling.standing import Standing
from tuner.telling.teller import PATIENCE_AT_THE_END_S, PATIENCE_S, Teller

BEGUN = StudyStarted("night", 0, 8, None)
BASELINE_STARTED = TrialStarted(0, TrialRole.BASELINE, {}, 1)
BASELINE_FAILED = TrialFinished(make_trial(0, role=TrialRole.BASELINE, state=TrialState.FAILED, failure=OOM), None)


class Kept:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.waited: list[float] = []

    def send(self, payload: dict[str, Any]) -> None:
        self.sent.append(payload)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)


def session(events: list[Event], *, error: BaseException | None = None, signal: str = "") -> Kept:
    """What a session of these events and this end tells."""
    kept = Kept()
    teller = Teller(Standing("night", 2.0, at=0.0), SESSION, kept, clock=lambda: 1.0, now=lambda: LATER)
    with pytest.raises(type(error)) if error else nullcontext(), teller:
        for event in events:
            teller.observe(event)
        if signal:
            teller.stopped_by(signal)
        if error is not None:
            raise error
    return kept


def told(kept: Kept) -> list[tuple[str, str]]:
    return [(payload["event"], payload["reason"]) for payload in kept.sent]


def test_a_study_that_finishes_is_told_of_once():
    kept = session(NIGHT)
    assert told(kept) == [("study_finished", "the time is up")]
    assert kept.waited == [PATIENCE_AT_THE_END_S]


def test_a_breaker_is_told_with_the_failure_behind_it_and_waited_for_briefly():
    kept = session([BEGUN, BASELINE_STARTED, BASELINE_FAILED], error=BreakerError("trial 0 failed", advice="Mend it."))
    assert told(kept)[-1] == ("study_stopped", "trial 0 failed")
    assert kept.sent[-1]["failure"]["kind"] == "oom_start"
    assert kept.waited == [PATIENCE_S]


def test_a_signal_is_told_by_its_name():
    kept = session([BEGUN], signal="SIGTERM")
    assert told(kept) == [("study_interrupted", "SIGTERM")]
    assert kept.waited == [PATIENCE_S]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SurroundingsError("no space left", where="results.db"), "results.db: no space left"),
        (KeyError("what a prompt said"), "internal error, KeyError"),
        (asyncio.CancelledError(), "internal error, CancelledError"),
    ],
)
def test_an_unexpected_end_is_told_without_what_an_internal_error_says(error: BaseException, reason: str):
    assert told(session([BEGUN], error=error)) == [("study_failed", reason)]


def test_wrong_input_is_told_only_after_the_study_began():
    assert told(session([], error=InputError("no such model"))) == []
    assert told(session([BEGUN], error=InputError("no such model"))) == [("study_failed", "no such model")]


def test_surroundings_that_forbid_a_start_are_told_because_a_service_may_have_started_it():
    assert told(session([], error=SurroundingsError("no GPU"))) == [("study_failed", "no GPU")]


def test_the_first_failure_of_trial_0_is_told_at_once_and_no_further_one():
    again = TrialStarted(0, TrialRole.BASELINE, {}, 2)
    kept = session([BEGUN, BASELINE_STARTED, TrialRetried(0, BUSY), again, TrialRetried(0, BUSY)], signal="SIGINT")
    assert [event for event, _ in told(kept)] == ["trial_0_failed", "study_interrupted"]
    assert told(kept)[0][1] == f"trial 0, vLLM's defaults, failed, trying again (gpu_busy): {BUSY.evidence}"
    assert kept.sent[0]["failure"]["evidence"] == BUSY.evidence


def test_a_failure_of_trial_0_that_ends_it_is_told():
    assert told(session([BEGUN, BASELINE_STARTED, BASELINE_FAILED], signal="SIGINT"))[0] == (
        "trial_0_failed",
        f"trial 0, vLLM's defaults, failed (oom_start): {OOM.evidence}",
    )


def test_an_interrupted_baseline_is_no_failure_of_it():
    trial = make_trial(0, role=TrialRole.BASELINE, state=TrialState.INTERRUPTED, failure=BUSY)
    interrupted = TrialFinished(trial, None)
    assert told(session([BEGUN, BASELINE_STARTED, interrupted], signal="SIGINT")) == [("study_interrupted", "SIGINT")]


def test_failures_of_other_trials_are_not_told():
    assert told(session([*NIGHT[:-1], TrialRetried(3, BUSY), NIGHT[-1]])) == [("study_finished", "the time is up")]
