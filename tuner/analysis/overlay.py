"""Fronts of several studies in one picture: each study's own, what no study beats, how much each dominates. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.analysis.best import Contender
from tuner.analysis.dominance import Losses, losses, on_front
from tuner.analysis.figures import Direction, figure, point_at
from tuner.analysis.hypervolume import hypervolume, reference_point
from tuner.domain.base import Frozen
from tuner.domain.flags import FlagValue
from tuner.domain.trial import TrialRole


class FrontMember(Frozen):
    """A trial on its study's front."""

    study: str
    """The study's label."""
    trial: int
    role: TrialRole
    flags: dict[str, FlagValue]
    figures: dict[str, float]
    """By name; latencies in seconds."""
    rate: float | None
    """Requests per second at which latencies were read."""
    slo_met: bool
    """At that rate."""
    on_common_front: bool
    """No trial of any of the studies dominates it."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """The fronts of a comparison."""

    members: tuple[FrontMember, ...]
    """What no study beats first, then by the first figure, best first."""
    reference: dict[str, float]
    volumes: dict[str, float]
    """Hypervolume by study."""
    volume_of_all: float
    without_figures: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Front:
    label: str
    contenders: list[Contender]
    points: Losses
    """Of the contenders, shape (contenders, metrics)."""
    without: tuple[int, ...]


def fronts(
    contenders: Mapping[str, Sequence[Contender]],
    metrics: Sequence[str],
    directions: Sequence[Direction],
    *,
    target_rps: float,
    limits: Mapping[str, float],
) -> Overlay:
    """Return the fronts of studies over the same figures.

    Args:
        contenders: each study's measured trials by its label.
        metrics: the figures, two or three.
        directions: which way each is better.
        target_rps: where latencies are read.
        limits: the SLOs' limits by name, seconds.
    """
    own = [_front(label, its, metrics, directions, target_rps) for label, its in contenders.items()]
    union: Losses = np.concatenate([front.points for front in own])
    reference = reference_point(metrics, directions, limits, union)
    bound = losses([list(reference.values())], directions)[0]
    common: list[bool] = on_front(union).tolist() if len(union) else []
    order = sorted(range(len(union)), key=lambda place: (not common[place], union[place].tolist()))
    owners = [(front.label, one) for front in own for one in front.contenders]
    return Overlay(
        members=tuple(_member(owners[place], metrics, target_rps, common=common[place]) for place in order),
        reference=reference,
        volumes={front.label: hypervolume(front.points, bound) for front in own},
        volume_of_all=hypervolume(union, bound),
        without_figures={front.label: front.without for front in own if front.without},
    )


def _front(
    label: str,
    contenders: Sequence[Contender],
    metrics: Sequence[str],
    directions: Sequence[Direction],
    target_rps: float,
) -> _Front:
    rows = [_figures(one, metrics, target_rps) for one in contenders]
    whole = [index for index, row in enumerate(rows) if None not in row]
    points = losses([[value for value in rows[index] if value is not None] for index in whole], directions)
    on: list[bool] = on_front(points).tolist() if whole else []
    return _Front(
        label,
        [contenders[index] for index, is_on in zip(whole, on, strict=True) if is_on],
        points[np.array(on, dtype=np.bool_)],
        tuple(one.trial.number for one, row in zip(contenders, rows, strict=True) if None in row),
    )


def _figures(one: Contender, metrics: Sequence[str], target_rps: float) -> list[float | None]:
    at_target = point_at(one.points, target_rps)
    return [figure(name, one.capacity, at_target) for name in metrics]


def _member(owner: tuple[str, Contender], metrics: Sequence[str], target_rps: float, *, common: bool) -> FrontMember:
    label, one = owner
    at_target = point_at(one.points, target_rps)
    values = dict(zip(metrics, _figures(one, metrics, target_rps), strict=True))
    return FrontMember(
        study=label,
        trial=one.trial.number,
        role=one.trial.role,
        flags=one.trial.flags,
        figures={name: value for name, value in values.items() if value is not None},
        rate=at_target.arrivals.offered_rps if at_target else None,
        slo_met=at_target.summary.slo_met if at_target else False,
        on_common_front=common,
    )
