"""The Pareto front of a study over any two or three figures."""

from collections.abc import Mapping, Sequence

from tuner.analysis.dominance import losses, on_front
from tuner.analysis.figures import Direction, direction, figure, point_at
from tuner.analysis.undecided import Undecided
from tuner.domain.base import Frozen
from tuner.domain.errors import InputError
from tuner.domain.flags import FlagValue
from tuner.domain.trial import Study, Trial, TrialRole, TrialState

_FEWEST, _MOST = 2, 3
_NOTHING: Mapping[int, Undecided] = {}


class FrontTrial(Frozen):
    """A trial in the figures of a front."""

    trial: int
    role: TrialRole
    flags: dict[str, FlagValue]
    figures: dict[str, float]
    """By name; latencies in seconds."""
    on_front: bool
    slo_met: bool
    """SLOs met at the target rate."""
    undecided: Undecided | None = None
    """What the measured rates leave open of its capacity, and the load point that would tell."""


class Front(Frozen):
    """The measured trials of a study, split into the front and what it dominates."""

    study: str
    slos: tuple[str, ...] = ()
    """What capacity and goodput are held against."""
    metrics: tuple[str, ...]
    directions: tuple[Direction, ...]
    trials: tuple[FrontTrial, ...]
    """The front first, each part by the first figure, best first."""
    without_figures: tuple[int, ...]
    """Measured trials that lack one of the figures."""


def front(
    study: Study, trials: Sequence[Trial], metrics: Sequence[str], undecided: Mapping[int, Undecided] = _NOTHING
) -> Front:
    """Return which trials no other dominates.

    Args:
        study: of the trials; under other SLOs than its own see `tuner.study.rejudge`.
        trials: as they are under the study's SLOs.
        metrics: two or three figures by name.
        undecided: what is open of the trials' capacities, by trial number.

    Raises:
        InputError: not two or three figures, or one that does not exist.
    """
    directions = directions_of(metrics)
    measured = [trial for trial in trials if trial.state is TrialState.MEASURED]
    rows = {trial.number: _figures(study, trial, metrics) for trial in measured}
    whole = [trial for trial in measured if None not in rows[trial.number]]
    points = losses([[value for value in rows[trial.number] if value is not None] for trial in whole], directions)
    flags: list[bool] = on_front(points).tolist() if whole else []
    order = sorted(range(len(whole)), key=lambda index: (not flags[index], points[index].tolist()))
    return Front(
        study=study.name,
        slos=tuple(str(slo) for slo in study.spec.slos),
        metrics=tuple(metrics),
        directions=directions,
        trials=tuple(_front_trial(study, whole[index], metrics, rows, undecided, on=flags[index]) for index in order),
        without_figures=tuple(trial.number for trial in measured if None in rows[trial.number]),
    )


def directions_of(metrics: Sequence[str]) -> tuple[Direction, ...]:
    """Return which way each figure of a front is better.

    Raises:
        InputError: not two or three figures, or one that does not exist.
    """
    if not _FEWEST <= len(metrics) <= _MOST:
        raise InputError(f"a front has two or three figures, not {len(metrics)}", where="--metric")
    try:
        return tuple(direction(name) for name in metrics)
    except ValueError as error:
        raise InputError(f"{error}; or capacity_rps, goodput_rps, output_tokens_per_s", where="--metric") from error


def _figures(study: Study, trial: Trial, metrics: Sequence[str]) -> list[float | None]:
    at_target = point_at(trial.judged_points, study.spec.target_rps)
    return [figure(name, trial.capacity, at_target) for name in metrics]


def _front_trial(
    study: Study,
    trial: Trial,
    metrics: Sequence[str],
    rows: dict[int, list[float | None]],
    undecided: Mapping[int, Undecided],
    *,
    on: bool,
) -> FrontTrial:
    at_target = point_at(trial.judged_points, study.spec.target_rps)
    values = {name: value for name, value in zip(metrics, rows[trial.number], strict=True) if value is not None}
    return FrontTrial(
        trial=trial.number,
        role=trial.role,
        flags=trial.flags,
        figures=values,
        on_front=on,
        slo_met=at_target.summary.slo_met if at_target else False,
        undecided=undecided.get(trial.number),
    )
