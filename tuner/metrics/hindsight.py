"""Owns what stored load points say under SLOs that they were not measured for, and what they leave open.

The same evidence and the same estimate as during the search: for the SLOs of the search the capacity is the one that it
found. Only the time that a load point took beyond its requests is not stored, which no figure but a forecast of seconds
rests on. A load point that was given up under other limits says nothing where it does not break these for certain.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import Slo
from tuner.domain.study import LoadPlan
from tuner.metrics.capacity import Estimate, capacity, estimate
from tuner.metrics.columns import Columns
from tuner.metrics.evidence import Measured, Told, evidence_of
from tuner.metrics.search import Probe, next_probe
from tuner.metrics.summary import goodput
from tuner.metrics.windows import steady_window


@dataclass(frozen=True, slots=True)
class Question:
    """What stored load points are asked."""

    plan: LoadPlan
    slos: tuple[Slo, ...]
    target_rps: float


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a trial's load points besides their requests, and which of them show a capacity together."""

    points: Mapping[int, Told]
    """By index."""
    groups: tuple[tuple[int, ...], ...]
    """Indices of open-loop load points."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the requests of a trial say."""

    goodput: dict[int, float]
    """Requests per second that met every limit, by load point; those whose records are gone are missing."""
    silent: frozenset[int]
    """Load points at one rate that say nothing of these SLOs."""
    known: dict[tuple[int, ...], "Known"]
    """By group; those of whose load points some records are gone are missing."""


def told_of(point: LoadPoint) -> Told:
    """Return what a stored load point tells besides its requests."""
    summary = point.summary
    return Told(
        arrivals=point.arrivals,
        requests=point.requests,
        seconds=point.duration,
        growing=summary.queue_growing and not summary.given_up,
        given_up=bool(summary.given_up),
        valid=not summary.invalid,
    )


def weigh(question: Question, case: Case, requests: Mapping[int, Columns]) -> Weighed:
    """Return what a trial's load points say; `requests` holds those of each load point whose records are there."""
    seen = {
        index: seen_under(question.slos, told, requests[index])
        for index, told in case.points.items()
        if index in requests
    }
    whole = [group for group in case.groups if group and all(index in seen for index in group)]
    return Weighed(
        goodput={index: one.goodput_rps for index, one in seen.items()},
        silent=frozenset(index for index, one in seen.items() if case.points[index].given_up and one.measured is None),
        known={group: known(question, heard(seen, group)) for group in whole},
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """A load point under other SLOs."""

    goodput_rps: float
    measured: Measured | None
    """What it says to the search; None where it had no one rate, or says nothing of these SLOs."""


def seen_under(slos: Sequence[Slo], told: Told, requests: Columns) -> Seen:
    """Return what the requests of a load point say of these SLOs."""
    window = None if told.given_up else steady_window(requests, told.arrivals)
    rate = goodput(requests, slos, told.seconds, window)
    if told.arrivals.offered_rps is None:
        return Seen(rate, None)
    found = evidence_of(requests, told, slos, window)
    return Seen(rate, None if found.given_up and not found.criteria else found)


def heard(seen: Mapping[int, Seen], group: Iterable[int]) -> tuple[Measured, ...]:
    """Return what a group of load points says to the search, in order."""
    return tuple(one for index in group if (one := seen[index].measured) is not None)


@dataclass(frozen=True, slots=True)
class Known:
    """A capacity, and the load point that would tell more of it."""

    capacity: Capacity
    next: Probe | None
    """None where the capacity is decided: within the plan's tolerance, with enough requests near it."""


def known(question: Question, measured: Sequence[Measured]) -> Known:
    """Return the capacity that load points show, and what would decide it where they don't."""
    plan, slos, target_rps = question.plan, question.slos, question.target_rps
    points = [point for point in measured if point.valid]
    found = estimate(plan, slos, target_rps, points)
    shown = capacity(plan, slos, target_rps, measured, found)
    return Known(shown, deciding(plan, slos, target_rps, measured, found))


def deciding(
    plan: LoadPlan,
    slos: Sequence[Slo],
    target_rps: float,
    measured: Sequence[Measured],
    found: Estimate | None = None,
) -> Probe | None:
    """Return the load point that the search would measure next, had it time left; None where it is over.

    Args:
        plan: range and tolerance; its time budget and number of load points don't count.
        slos: what must hold.
        target_rps: requests per second.
        measured: every load point so far.
        found: what `tuner.metrics.capacity.estimate` makes of the valid ones, where that is known already.
    """
    endless = plan.model_copy(update={"time_budget": None, "max_points": len(measured) + 1})
    return next_probe(endless, slos, target_rps, measured, 0.0, found)
