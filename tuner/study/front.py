"""The Pareto front of a study over any two or three figures."""

from collections.abc import Mapping, Sequence

from tuner.analysis.dominance import losses, on_front
from tuner.analysis.figures import Direction, direction, overview
from tuner.analysis.undecided import Undecided
from tuner.domain.base import Frozen
from tuner.domain.errors import InputError
from tuner.domain.flags import FlagValue
from tuner.domain.overview import Overview
from tuner.domain.slo import Slo
from tuner.domain.study import CAPACITY
from tuner.domain.trial import Purpose, Study, Trial, TrialRole, TrialState
from tuner.store.reader import Reader
from tuner.study.rejudge import rejudged, under

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
        trials: as they are under the study's SLOs, with their load points.
        metrics: two or three figures by name.
        undecided: what is open of the trials' capacities, by trial number.

    Raises:
        InputError: not two or three figures, or one that does not exist.
    """
    directions_of(metrics)
    glances = [overview(trial, study.spec.target_rps, at_rate_names(metrics)) for trial in trials]
    return front_of(study, glances, metrics, undecided)


def stored_front(study: Study, results: Reader, metrics: Sequence[str], slos: Sequence[Slo]) -> Front:
    """Return which stored trials no other dominates under these SLOs.

    For the study's own SLOs only what a front needs is read; of refined trials, and for other SLOs, the records too.

    Raises:
        InputError: not two or three figures, or one that does not exist.
    """
    directions_of(metrics)
    asked, rate, names = under(study, slos), study.spec.target_rps, at_rate_names(metrics)
    own = set(slos) == set(study.spec.slos)
    glances = list(results.overviews(study.id, rate, names)) if own else []
    refined = [one.number for one in glances if Purpose.REFINE in one.again]
    whole = results.trials(study.id, numbers=refined if own else None)
    again = rejudged(whole, study.spec, slos, results)
    anew = {one.trial.number: overview(one.trial, rate, names) for one in again}
    undecided = {one.trial.number: one.undecided for one in again if one.undecided is not None}
    kept = [anew.get(one.number, one) for one in glances] if own else list(anew.values())
    return front_of(asked, kept, metrics, undecided)


def at_rate_names(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the figures among these that a load point has."""
    return tuple(name for name in metrics if name != CAPACITY)


def front_of(
    study: Study, trials: Sequence[Overview], metrics: Sequence[str], undecided: Mapping[int, Undecided] = _NOTHING
) -> Front:
    """Return which trials no other dominates, by what their overviews hold of the figures."""
    directions = directions_of(metrics)
    measured = [one for one in trials if one.state is TrialState.MEASURED]
    rows = [[_figure(one, name) for name in metrics] for one in measured]
    whole = [(one, [value for value in row if value is not None]) for one, row in zip(measured, rows, strict=True)]
    whole = [(one, row) for one, row in whole if len(row) == len(metrics)]
    points = losses([row for _, row in whole], directions)
    flags: list[bool] = on_front(points).tolist() if whole else []
    keys = [(not on, *loss) for on, loss in zip(flags, points.tolist(), strict=True)]
    order = sorted(range(len(whole)), key=keys.__getitem__)
    return Front(
        study=study.name,
        slos=tuple(str(slo) for slo in study.spec.slos),
        metrics=tuple(metrics),
        directions=directions,
        trials=tuple(_front_trial(*whole[index], metrics, undecided, on=flags[index]) for index in order),
        without_figures=tuple(
            one.number for one, row in zip(measured, rows, strict=True) if any(value is None for value in row)
        ),
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


def _figure(one: Overview, name: str) -> float | None:
    if name == CAPACITY:
        return one.capacity.rps if one.capacity else None
    return one.at_rate.figures[name] if one.at_rate else None


def _front_trial(
    one: Overview, figures: Sequence[float], metrics: Sequence[str], undecided: Mapping[int, Undecided], *, on: bool
) -> FrontTrial:
    return FrontTrial(
        trial=one.number,
        role=one.role,
        flags=one.flags,
        figures=dict(zip(metrics, figures, strict=True)),
        on_front=on,
        slo_met=one.at_rate.slo_met if one.at_rate else False,
        undecided=undecided.get(one.number),
    )
