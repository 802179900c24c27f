"""The warm start: the best configurations of an earlier study, from whatever GPU and version, to be measured anew.

Owns which of an earlier study's trials are taken and what is left of their flags here. Its figures are never taken.
"""

from collections.abc import Callable, Iterator, Sequence

from tuner.domain.errors import InputError
from tuner.domain.flags import FlagValue
from tuner.domain.space import SearchSpace
from tuner.domain.study import CAPACITY, StudySpec, WarmStart
from tuner.domain.trial import Study, Trial, TrialRole
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.study.answer import best_number
from tuner.study.front import front

MOST = 4
"""Configurations that are taken: the best one, then others of the front."""

Configurations = tuple[dict[str, FlagValue], ...]


def warm_start(spec: StudySpec, own: DatabaseLocation, on_line: Callable[[str], None]) -> Configurations:
    """Return the configurations that a study starts from; none where it asks for no warm start.

    Args:
        spec: the study.
        own: its result file, where the earlier study is looked for unless the spec names another.
        on_line: told what is taken and what is left out, a line at a time.

    Raises:
        InputError: no such study or file, the study itself, or nothing measured in it.
        SurroundingsError: the file can't be read.
    """
    asked = spec.warm_start
    if asked is None:
        return ()
    location = own if asked.db is None else DatabaseLocation.parse(asked.db)
    if asked.study == spec.study and location == own:
        raise InputError("a study can't start from itself", where="warm_start")
    study, trials = _earlier(asked, location)
    taken = chosen(study, trials)
    if not taken:
        raise InputError(f"no trial of {asked.study} is measured yet", where="warm_start")
    found = tuple(_kept(taken, spec.search_space, on_line))
    on_line(f"warm start: {len(found)} configurations of {asked.study} will be measured anew")
    return found


def chosen(study: Study, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return the best trials of a study by its own objectives: the answer first, then the front, vLLM's defaults last.

    Trial 0 is left out: every study has its own.
    """
    best = best_number(trials, study.spec)
    if best is None:
        return ()
    metrics = tuple(dict.fromkeys((*study.spec.objectives, CAPACITY, study.spec.slos[0].name)))[:3]
    on_front = [one.trial for one in front(study, trials, metrics).trials if one.on_front]
    by_number = {trial.number: trial for trial in trials}
    ordered = [by_number[number] for number in dict.fromkeys([best, *on_front])]
    return tuple(trial for trial in ordered if trial.role is not TrialRole.BASELINE)[:MOST] or tuple(ordered)[:1]


def _earlier(asked: WarmStart, location: DatabaseLocation) -> tuple[Study, tuple[Trial, ...]]:
    with open_reader(location) as reader:
        study = reader.study(asked.study)
        if study is None:
            names = ", ".join(each.name for each in reader.studies()) or "none"
            raise InputError(
                f"{location.display} has no study named {asked.study!r}; there are: {names}", where="warm_start"
            )
        return study, reader.trials(study.id)


def _kept(taken: Sequence[Trial], space: SearchSpace, on_line: Callable[[str], None]) -> Iterator[dict[str, FlagValue]]:
    """Yield what this space tunes of each configuration, none twice."""
    seen: list[dict[str, FlagValue]] = []
    for trial in taken:
        flags = {name: value for name, value in trial.flags.items() if name in space.parameters}
        dropped = sorted(trial.flags.keys() - flags.keys())
        if dropped:
            on_line(f"warm start: {', '.join(dropped)} of trial {trial.number} left out: not in this search space")
        if flags and flags not in seen:
            seen.append(flags)
            yield flags
