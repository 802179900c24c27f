"""Answers from stored trials, for any target rate and any SLOs: what `tuner best` and the live view show."""

from collections.abc import Sequence

from tuner.analysis.best import Answer, Contender, answer, choose
from tuner.domain.errors import InputError
from tuner.domain.slo import Slo
from tuner.domain.study import StudySpec
from tuner.domain.trial import Purpose, Study, Trial, TrialState
from tuner.metrics.capacity import capacity_of_points
from tuner.study.rejudge import Records, Rejudged, rejudged

HEADROOM = 2.0
"""Capacity over target rate that an answer asks for by default: the field's habit is 2 to 3."""


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
    )
