"""Watches one session of a study and decides what is worth telling whoever asked to be told."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from tuner.domain.errors import BreakerError, InputError, TunerError
from tuner.domain.events import Event, TrialFinished, TrialRetried
from tuner.domain.failure import Failure
from tuner.domain.trial import TrialRole, TrialState
from tuner.telling.notice import NoticeKind, Session, notice
from tuner.telling.standing import Standing

PATIENCE_S = 5.0
"""Seconds that an end which nobody waited for may be delayed by telling it."""
PATIENCE_AT_THE_END_S = 20.0
"""The same for the end of the study: all attempts."""
_FAILED = frozenset({TrialState.FAILED, TrialState.INFEASIBLE})


class Outbox(Protocol):
    """Delivers payloads in the background."""

    def send(self, payload: dict[str, Any]) -> None:
        """Begin to deliver a payload, and return at once."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait until everything is delivered or given up, for so many seconds at most."""
        ...


class Teller:
    """The observer of one session. As a context it tells how the session ended, whatever ended it.

    It tells nothing of wrong input before the study began: whoever typed it sees it.
    """

    def __init__(
        self,
        standing: Standing,
        session: Session,
        outbox: Outbox,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take where the study stands, what every notice says alike, and who delivers them."""
        self.standing = standing
        self._session = session
        self._outbox = outbox
        self._clock = clock
        self._now = now
        self._signal = ""
        self._told_of_baseline = False

    def observe(self, event: Event) -> None:
        """Take an event of the study."""
        before = self.standing
        self.standing = before.after(event, self._clock())
        failure = _failure_of_baseline(event, before.baseline)
        if failure is not None and not self._told_of_baseline:
            self._told_of_baseline = True
            again = ", trying again" if isinstance(event, TrialRetried) else ""
            reason = f"trial 0, vLLM's defaults, failed{again} ({failure.kind}): {failure.evidence}"
            self._tell(NoticeKind.BASELINE_FAILED, reason, failed=True)

    def stopped_by(self, signal_name: str) -> None:
        """Take the signal that ended the session."""
        self._signal = signal_name

    def __enter__(self) -> Self:
        """Begin to watch."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Tell how the session ended, and wait a bounded time until it is told."""
        if error is None and not self._signal:
            self._tell(NoticeKind.FINISHED, self.standing.reason)
            self._outbox.wait(PATIENCE_AT_THE_END_S)
            return
        if not isinstance(error, InputError) or self.standing.started:
            self._tell(*self._end(error), failed=isinstance(error, BreakerError))
        self._outbox.wait(PATIENCE_S)

    def _end(self, error: BaseException | None) -> tuple[NoticeKind, str]:
        if error is None:
            return NoticeKind.INTERRUPTED, self._signal
        if isinstance(error, KeyboardInterrupt):
            return NoticeKind.INTERRUPTED, "SIGINT"
        if isinstance(error, TunerError):
            kind = NoticeKind.STOPPED if isinstance(error, BreakerError) else NoticeKind.FAILED
            return kind, f"{error.where}: {error.what}" if error.where else error.what
        # Its message may hold anything, prompts too: whoever looks finds it in the tuner's own output.
        return NoticeKind.FAILED, f"internal error, {type(error).__name__}"

    def _tell(self, kind: NoticeKind, reason: str, *, failed: bool = False) -> None:
        told = notice(kind, reason, self.standing, self._session, at=self._now(), failed=failed)
        self._outbox.send(told.model_dump(mode="json"))


def _failure_of_baseline(event: Event, baseline: int | None) -> Failure | None:
    match event:
        case TrialRetried(number=number, failure=failure) if number == baseline:
            return failure
        case TrialFinished(trial=trial) if trial.role is TrialRole.BASELINE:
            return trial.failure if trial.state in _FAILED else None
        case _:
            return None
