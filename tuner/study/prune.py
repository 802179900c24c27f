"""`tuner prune`: which raw records a study can do without, and their removal.

Capacities, figures and summaries all stay. What goes is the possibility to hold a trial against other SLOs request by
request, so that the trials which answers are made of are kept unless told otherwise.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tuner.analysis.best import choose
from tuner.domain.base import Frozen
from tuner.domain.errors import InputError
from tuner.domain.study import CAPACITY
from tuner.domain.trial import Purpose, Study, Trial, TrialRole, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.lock import writer_lock
from tuner.store.preflight import check_database
from tuner.store.prune import RawData, give_back_space, raw_data, remove_raw_data
from tuner.store.writer import open_store
from tuner.study.answer import HEADROOM, contenders
from tuner.study.front import front


class Keep(StrEnum):
    """Trials that keep their raw records."""

    BEST = "best"
    """The best for the study's own target rate."""
    FRONT = "front"
    """Those that no other dominates in the study's objectives, nor in capacity and TTFT."""
    BASELINE = "baseline"
    """vLLM's defaults."""
    CONFIRMED = "confirmed"
    """Those that were measured again before they were named."""
    NOTHING = "nothing"


DEFAULT_KEEP = (Keep.BEST, Keep.FRONT, Keep.BASELINE, Keep.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Rule:
    """What keeps its raw records."""

    keep: Sequence[str] = DEFAULT_KEEP
    """`Keep`'s words, and trial numbers."""
    newer_than: datetime | None = None
    """Load points that began at this moment or later stay, whatever trial they are of."""


class Pruning(Frozen):
    """What a rule takes out, or took out."""

    study: str
    trials: tuple[int, ...]
    """Numbers of the trials that lose raw records."""
    kept: tuple[int, ...]
    """Numbers of those that keep theirs."""
    load_points: int
    bytes_of_records: int
    done: bool = False
    """Whether they are gone."""
    bytes_freed: int | None = None
    """By how much the file shrank; None before, and on a database server."""


def plan_pruning(location: DatabaseLocation, study: Study, trials: Sequence[Trial], rule: Rule) -> Pruning:
    """Return what a rule would take out.

    Raises:
        InputError: the rule names no trial of the study.
    """
    going, kept = _split(location, study, trials, rule)
    return Pruning(
        study=study.name,
        trials=tuple(sorted({each.trial for each in going})),
        kept=tuple(sorted(kept)),
        load_points=len(going),
        bytes_of_records=sum(each.size for each in going),
    )


def prune(location: DatabaseLocation, study: Study, trials: Sequence[Trial], rule: Rule) -> Pruning:
    """Take out what a rule lets go, and make the file smaller.

    Raises:
        InputError: the rule names no trial of the study.
        SurroundingsError: another process is writing into the file, or it can't be written.
    """
    check_database(location, for_writing=True)
    before = _size(location)
    with writer_lock(location, study.name):
        planned = plan_pruning(location, study, trials, rule)
        going, _ = _split(location, study, trials, rule)
        with open_store(location) as store:
            remove_raw_data(store, [each.load_point_id for each in going])
            give_back_space(store)
    freed = before - _size(location) if location.path else None
    return planned.model_copy(update={"done": True, "bytes_freed": freed})


def _split(
    location: DatabaseLocation, study: Study, trials: Sequence[Trial], rule: Rule
) -> tuple[list[RawData], set[int]]:
    """Return the raw data that goes, and the trials with raw data that keep all of theirs."""
    keeping = _kept(study, trials, rule.keep)
    its = raw_data(location, study.id)
    going = [
        each
        for each in its
        if each.trial not in keeping and (rule.newer_than is None or each.started_at < rule.newer_than)
    ]
    return going, {each.trial for each in its} - {each.trial for each in going}


def _kept(study: Study, trials: Sequence[Trial], words: Sequence[str]) -> set[int]:
    """Return the numbers of the trials that a rule's words mean."""
    numbers = {trial.number for trial in trials}
    kept: set[int] = {trial.number for trial in trials if trial.state is TrialState.RUNNING}
    for word in words:
        if word in set(Keep):
            kept |= _meant(Keep(word), study, trials)
        elif word.isdecimal() and int(word) in numbers:
            kept.add(int(word))
        else:
            known = ", ".join(Keep)
            raise InputError(
                f"{word!r} is no trial of {study.name}", where="--keep", advice=f"A trial's number, or {known}."
            )
    return kept


def _meant(keep: Keep, study: Study, trials: Sequence[Trial]) -> set[int]:
    spec = study.spec
    match keep:
        case Keep.BEST:
            among = contenders(trials, spec, spec.slos)
            return {choose(among, spec.target_rps, HEADROOM, spec.slos).trial.number} if among else set()
        case Keep.FRONT:
            return _on_front(study, trials, spec.objectives) | _on_front(study, trials, (CAPACITY, "ttft_p95"))
        case Keep.BASELINE:
            return {trial.number for trial in trials if trial.role is TrialRole.BASELINE}
        case Keep.CONFIRMED:
            return {trial.number for trial in trials if trial.launches_for(Purpose.CONFIRM)}
        case Keep.NOTHING:
            return set()


def _on_front(study: Study, trials: Sequence[Trial], metrics: Collection[str]) -> set[int]:
    if len(metrics) < 2:  # noqa: PLR2004  # a single objective has no front
        return set()
    return {each.trial for each in front(study, trials, tuple(metrics)).trials if each.on_front}


def _size(location: DatabaseLocation) -> int:
    return location.path.stat().st_size if location.path else 0
