"""What a webhook is told: the payload and its one sentence. Pure.

`text` is for people and made inert: it can't mention anybody, nor break a line, whatever a log line in it says. The
other keys are for programs and as they are. What a server answered to a request stays out of both: it may quote a
prompt.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime

from tuner import __version__
from tuner.domain.base import Frozen
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import FlagValue, to_arguments
from tuner.domain.inert import inert as plain
from tuner.domain.trial import TrialState
from tuner.domain.units import bounds_text
from tuner.telling.standing import Found, Standing

_ANSWERS = frozenset({FailureKind.LOAD_FAILED})
"""Failures whose evidence is what the server answered."""
_WITHHELD = "what the server answered is in the result file"
_LONGEST = 1500
"""Characters of a sentence: Discord takes 2,000."""
_LONGEST_EVIDENCE = 300
_INERT = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "@\u200b", "`": "'"})


class NoticeKind(StrEnum):
    """What happened."""

    BASELINE_FAILED = "trial_0_failed"
    """The first failed launch of vLLM's defaults in a session; the study may still try again."""
    FINISHED = "study_finished"
    """The study came to its end: its budget, or the end of its search space."""
    STOPPED = "study_stopped"
    """A breaker: going on made no sense."""
    FAILED = "study_failed"
    """The surroundings, or an internal error."""
    INTERRUPTED = "study_interrupted"
    """A signal."""


_STOPS = frozenset({NoticeKind.STOPPED, NoticeKind.FAILED, NoticeKind.INTERRUPTED})
"""Ends before the end: somebody may want to go on."""


class Best(Frozen):
    """The best trial so far: for the study's own target rate and SLOs."""

    trial: int
    flags: dict[str, FlagValue]
    """The tuned flags; empty for vLLM's defaults."""
    capacity_rps: float
    """Requests per second; 0 when no rate held."""
    lower_rps: float
    """Lower end of the interval."""
    upper_rps: float | None
    """Upper end of the interval; null when no measured rate broke."""
    confidence: float
    """How often such an interval holds the truth, 0 to 1."""
    limited_by: str
    """What breaks first above it: an SLO's name, or `queue`; empty when nothing did."""


class Notice(Frozen):
    """One message, as it is posted."""

    text: str
    """One sentence for people: what Slack, Mattermost and Rocket.Chat show."""
    content: str
    """The same, where Discord looks for it."""
    event: NoticeKind
    study: str
    reason: str
    """Why, in words."""
    failure: Failure | None
    """The last failed launch or trial, where one is the reason: kind, evidence, advice."""
    trials: dict[TrialState, int]
    """Finished trials by outcome, those of earlier sessions included."""
    best: Best | None
    """Null before the first measured trial."""
    target_rps: float
    slos: tuple[str, ...]
    """What the capacity keeps: `ttft_p95 ≤ 500 ms`."""
    resume: str
    """The command that goes on with the study."""
    directory: str
    """Where to type it."""
    host: str
    started_at: AwareDatetime
    """When this session began, UTC."""
    at: AwareDatetime
    """When it happened, UTC."""
    tuner_version: str


@dataclass(frozen=True, slots=True)
class Session:
    """What every notice of one session says alike."""

    slos: tuple[str, ...]
    resume: str
    directory: str
    host: str
    started_at: datetime


def notice(
    event: NoticeKind, reason: str, standing: Standing, session: Session, *, at: datetime, failed: bool = False
) -> Notice:
    """Return the notice of an event.

    Args:
        event: What happened.
        reason: Why, in words.
        standing: How the study stands.
        session: Who tells.
        at: When it happened, UTC.
        failed: Whether the study's last failure is the reason.
    """
    failure = _quotable(standing.failure) if failed and standing.failure is not None else None
    reason = _without_answers(reason, standing.failure)
    text = _sentence(event, reason, standing, session)
    return Notice(
        text=text,
        content=text,
        event=event,
        study=standing.study,
        reason=reason,
        failure=failure,
        trials=dict(standing.outcomes),
        best=_best(standing.best_found),
        target_rps=standing.target_rps,
        slos=session.slos,
        resume=session.resume,
        directory=session.directory,
        host=session.host,
        started_at=session.started_at,
        at=at,
        tuner_version=__version__,
    )


def _best(found: Found | None) -> Best | None:
    if found is None:
        return None
    capacity = found.capacity
    return Best(
        trial=found.number,
        flags=dict(found.flags),
        capacity_rps=capacity.rps,
        lower_rps=capacity.lower_rps,
        upper_rps=capacity.upper_rps,
        confidence=capacity.confidence,
        limited_by=capacity.limited_by,
    )


def _quotable(failure: Failure) -> Failure:
    return failure.model_copy(update={"evidence": _WITHHELD}) if failure.kind in _ANSWERS else failure


def _without_answers(reason: str, failure: Failure | None) -> str:
    """Return the reason without the evidence of a failure that quotes a server's answer."""
    if failure is None or failure.kind not in _ANSWERS or not failure.evidence:
        return reason
    return reason.replace(failure.evidence, _WITHHELD)


def _sentence(event: NoticeKind, reason: str, standing: Standing, session: Session) -> str:
    head = f"tuner on {session.host}: study {standing.study}{_what(event, reason)}"
    parts = [head, _found_text(standing), _counts_text(standing)]
    text = inert("; ".join(part for part in parts if part))
    return f"{text}; to go on: `{inert(session.resume)}`" if event in _STOPS else text


def _what(event: NoticeKind, reason: str) -> str:
    reason = reason if len(reason) <= _LONGEST_EVIDENCE else f"{reason[: _LONGEST_EVIDENCE - 1]}…"
    return {
        NoticeKind.BASELINE_FAILED: f": {reason}",
        NoticeKind.FINISHED: f" finished ({reason})",
        NoticeKind.STOPPED: f" stopped itself ({reason})",
        NoticeKind.FAILED: f" ended unexpectedly ({reason})",
        NoticeKind.INTERRUPTED: f" was stopped by {reason}",
    }[event]


def _found_text(standing: Standing) -> str:
    found = standing.best_found
    if found is None:
        return "nothing is measured yet"
    capacity = bounds_text(found.capacity.rps, found.capacity.lower_rps, found.capacity.upper_rps)
    flags = " ".join(to_arguments(found.flags)) or "vLLM's defaults"
    return f"best is trial {found.number} with {capacity} for a target of {standing.target_rps:g}: {flags}"


def _counts_text(standing: Standing) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(standing.outcomes.items()))


def inert(text: str) -> str:
    """Return a text that stays one line of bounded length and mentions nobody, in any chat."""
    line = plain(text).translate(_INERT).strip()
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
