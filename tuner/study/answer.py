"""Answers from stored trials, for any target rate and any SLOs: what `tuner best` and the live view show."""

from collections.abc import Callable, Sequence

from tuner.analysis.best import Answer, Contender, answer, choose
from tuner.analysis.contender import use_names
from tuner.domain.errors import InputError
from tuner.domain.measurement import Capacity
from tuner.domain.overview import Overview
from tuner.domain.slo import Slo
from tuner.domain.study import StudySpec
from tuner.domain.trial import Purpose, Study, Trial, TrialRole, TrialState
from tuner.metrics.capacity import capacity_of_points
from tuner.store.reader import Reader
from tuner.study.rejudge import Records, Rejudged, rejudged

HEADROOM = 2.0
"""Capacity over target rate that an answer asks for by default: the field's habit is 2 to 3."""
_SHOWN = frozenset({TrialRole.BASELINE, TrialRole.CANDIDATE})
"""What an answer shows beside the one that it names."""
_NO_CAPACITY = Capacity(rps=0.0, upper_rps=None)
_MEASURED = Trial(id=0, number=0, role=TrialRole.SAMPLED, state=TrialState.MEASURED, flags={})


def contenders(
    trials: Sequence[Trial], spec: StudySpec, slos: Sequence[Slo], records: Records | None = None
) -> tuple[Contender, ...]:
    """Return the measured trials, judged by these SLOs from their stored request records.

    For the study's own SLOs the capacity is the one that is stored.

    Args:
        trials: of one study.
        spec: the study.
        slos: what they are held against.
        records: the result file, which other SLOs than the study's own want: without it stored percentiles have to do.
    """
    measured = [trial for trial in trials if trial.state is TrialState.MEASURED]
    return tuple(_contender(one, slos) for one in rejudged(measured, spec, slos, records))


def _contender(one: Rejudged, slos: Sequence[Slo]) -> Contender:
    capacity = one.trial.capacity or capacity_of_points(one.points, slos)
    again = [launch for launch in one.trial.launches_for(Purpose.CONFIRM) if launch.capacity is not None]
    return Contender(
        one.trial,
        capacity,
        one.points,
        one.undecided,
        repeats=tuple(launch.capacity for launch in again if launch.capacity is not None),
        repeated_points=tuple(one.trial.points_of(launch.attempt) for launch in again),
    )


def best_number(trials: Sequence[Trial], spec: StudySpec) -> int | None:
    """Return the number of the best trial for the study's own target and SLOs, None before the first."""
    among = contenders(trials, spec, spec.slos)
    return choose(among, spec.target_rps, HEADROOM, spec.slos).trial.number if among else None


def best_answer(
    study: Study,
    trials: Sequence[Trial],
    *,
    target_rps: float,
    headroom: float,
    slos: Sequence[Slo],
    records: Records | None = None,
) -> Answer:
    """Return the answer for a target rate, from the stored request records where the SLOs are not the study's own.

    Raises:
        InputError: the study has no measured trial yet.
    """
    among = contenders(trials, study.spec, slos, records)
    return answer_among(study, among, target_rps=target_rps, headroom=headroom, slos=slos)


def stored_answer(study: Study, results: Reader, *, target_rps: float, headroom: float, slos: Sequence[Slo]) -> Answer:
    """Return the same answer as `best_answer` does from all of a stored study's trials, reading few of them whole.

    For the study's own SLOs a glimpse tells whether a trial can be named; only what was launched again, what an answer
    shows, and what has no capacity of its own is read with its load points.

    Raises:
        InputError: the study has no measured trial yet.
    """
    spec = study.spec
    if set(slos) != set(spec.slos):
        trials = results.trials(study.id)
        return best_answer(study, trials, target_rps=target_rps, headroom=headroom, slos=slos, records=results)

    def read(numbers: Sequence[int]) -> tuple[Contender, ...]:
        return contenders(results.trials(study.id, numbers=numbers), spec, slos, results)

    found = results.overviews(study.id, target_rps, use_names(slos))
    measured = [one for one in found if one.state is TrialState.MEASURED]
    due = [one.number for one in measured if one.again or one.role in _SHOWN or one.capacity is None]
    known = {one.trial.number: one for one in read(due)}
    among = tuple(known.get(one.number) or _glimpsed(one) for one in measured)
    return answer_among(
        study,
        among,
        target_rps=target_rps,
        headroom=headroom,
        slos=slos,
        whole=lambda one: one if one.trial.number in known else read([one.trial.number])[0],
    )


def _glimpsed(one: Overview) -> Contender:
    """Return a trial as a contender, without its load points. Its fields were validated when they were read."""
    known = {"id": one.id, "number": one.number, "role": one.role, "flags": one.flags, "capacity": one.capacity}
    return Contender(_MEASURED.model_copy(update=known), one.capacity or _NO_CAPACITY, (), glimpsed=one.at_rate)


def answer_among(
    study: Study,
    among: Sequence[Contender],
    *,
    target_rps: float,
    headroom: float,
    slos: Sequence[Slo],
    whole: Callable[[Contender], Contender] = lambda one: one,
) -> Answer:
    """Return the answer among contenders that are judged already; `whole` reads one that was only glimpsed.

    Raises:
        InputError: there is none.
    """
    if not among:
        raise InputError(
            "no trial of this study is measured yet",
            where=study.name,
            advice=f"`tuner trials --study {study.name}` shows what became of them",
        )
    return answer(
        study.name,
        study.spec.model,
        study.spec.base_flags(),
        among,
        target_rps=target_rps,
        headroom=headroom,
        slos=slos,
        whole=whole,
    )
