"""Answers from stored trials, for any target rate and any SLOs: what `tuner best` and the live view show."""

from collections.abc import Sequence

from tuner.analysis.best import Answer, Contender, answer, choose
from tuner.domain.errors import InputError
from tuner.domain.slo import Slo
from tuner.domain.study import StudySpec
from tuner.domain.trial import Study, Trial, TrialState
from tuner.metrics.capacity import capacity_of_points
from tuner.metrics.verdict import judged

HEADROOM = 2.0
"""Capacity over target rate that an answer asks for by default: the field's habit is 2 to 3."""


def contenders(trials: Sequence[Trial], spec: StudySpec, slos: Sequence[Slo]) -> tuple[Contender, ...]:
    """Return the measured trials, their load points judged anew by these SLOs.

    For the study's own SLOs the capacity is the one that the trial's search found, from every single request; for
    others it is estimated from the load points' stored percentiles, and its interval is wider.
    """
    own = set(slos) == set(spec.slos)
    return tuple(_contender(trial, slos, own=own) for trial in trials if trial.state is TrialState.MEASURED)


def _contender(trial: Trial, slos: Sequence[Slo], *, own: bool) -> Contender:
    points = tuple(point.model_copy(update={"summary": judged(point.summary, slos)}) for point in trial.judged_points)
    return Contender(
        trial, trial.capacity if own and trial.capacity is not None else capacity_of_points(points, slos), points
    )


def best_number(trials: Sequence[Trial], spec: StudySpec) -> int | None:
    """Return the number of the best trial for the study's own target and SLOs, None before the first."""
    among = contenders(trials, spec, spec.slos)
    return choose(among, spec.target_rps, HEADROOM, spec.slos).trial.number if among else None


def best_answer(
    study: Study, trials: Sequence[Trial], *, target_rps: float, headroom: float, slos: Sequence[Slo]
) -> Answer:
    """Return the answer for a target rate.

    Raises:
        InputError: the study has no measured trial yet.
    """
    among = contenders(trials, study.spec, slos)
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
