"""`tuner best`: the configuration that sustains a target rate with headroom, at the best latency.

Owns the choice and its words. What a contender's capacity is under the SLOs asked for is handed in; nothing is
measured, interpolated or assumed here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.analysis.figures import point_at
from tuner.domain.base import Frozen
from tuner.domain.flags import Flags, FlagValue, serve_command
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import Slo
from tuner.domain.trial import Trial, TrialRole

_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Contender:
    """A measured trial, judged by the SLOs that were asked for."""

    trial: Trial
    capacity: Capacity
    points: tuple[LoadPoint, ...]
    """Its load points, with summaries judged by these SLOs."""


class PointFigures(Frozen):
    """A load point in the figures that people compare. Latencies in milliseconds."""

    rate: float | None
    """Offered requests per second; None under closed loop."""
    users: int | None
    """Concurrency of a closed loop; None under open loop."""
    requests: int
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    ttft_p99_ms: float | None
    tpot_p50_ms: float | None
    tpot_p95_ms: float | None
    tpot_p99_ms: float | None
    e2e_p95_ms: float | None
    goodput_rps: float
    output_tokens_per_s: float
    failure_rate: float
    slo_met: bool
    slo_violations: tuple[str, ...]


class Candidate(Frozen):
    """A configuration with its figures, as an answer shows it."""

    trial: int
    role: TrialRole
    flags: dict[str, FlagValue]
    """The flags that distinguish it; empty for vLLM's defaults."""
    command: str
    """The `vllm serve` line."""
    capacity_rps: float
    capacity_lower_rps: float
    """Lower end of the capacity's interval."""
    capacity_upper_rps: float | None
    """Upper end; None when no measured rate broke."""
    headroom: float
    """Capacity over the target rate."""
    at_target: PointFigures | None
    """The load point that speaks for the target rate: at it, or the nearest measured above."""
    load_points: tuple[PointFigures, ...]


class Answer(Frozen):
    """What `tuner best` says."""

    study: str
    target_rps: float
    headroom_wanted: float
    slos: tuple[str, ...]
    trial: int
    flags: dict[str, FlagValue]
    command: str
    capacity_rps: float
    capacity_lower_rps: float
    capacity_upper_rps: float | None
    headroom: float
    slo_met: bool
    """One replica holds the target rate within the SLOs."""
    sustained: bool
    """One replica holds the target rate times the headroom wanted within the SLOs."""
    replicas: int | None
    """Replicas that hold the target rate times the headroom wanted; None when no rate held at all."""
    best: Candidate
    baseline: Candidate | None
    candidates: tuple[Candidate, ...]
    """What the user named, for comparison."""
    contenders: int
    """How many measured configurations the choice was made from."""


def choose(contenders: Sequence[Contender], target_rps: float, headroom: float, slos: Sequence[Slo]) -> Contender:
    """Return the best contender for a target rate.

    Among those that sustain target times headroom, the one that uses the smallest share of its tightest SLO at the
    target rate; where none does, the one with the highest capacity. Equals are told apart by fewer flags, then age.

    Args:
        contenders: At least one.
        target_rps: Requests per second.
        headroom: How many times the target rate must be sustained.
        slos: What `Contender.capacity` was judged by.
    """
    needed = target_rps * headroom
    sustaining = [one for one in contenders if one.capacity.rps * _ROUNDING >= needed]
    if sustaining:
        return min(sustaining, key=lambda one: (limit_share(one, target_rps, slos), *_simplicity(one)))
    return min(contenders, key=lambda one: (-one.capacity.rps, limit_share(one, target_rps, slos), *_simplicity(one)))


def limit_share(contender: Contender, rate: float, slos: Sequence[Slo]) -> float:
    """Return the largest share of an SLO's limit in use at a rate: 0.8 is 80 % of the tightest limit.

    Infinity where a figure is missing.
    """
    point = point_at(contender.points, rate)
    if point is None:
        return math.inf
    values = [(point.summary.latency(slo.latency).statistic(slo.percentile), slo.limit) for slo in slos]
    return max((math.inf if value is None else value / limit for value, limit in values), default=0.0)


def answer(
    study: str,
    model: str,
    base_flags: Flags,
    contenders: Sequence[Contender],
    *,
    target_rps: float,
    headroom: float,
    slos: Sequence[Slo],
) -> Answer:
    """Return the answer for a target rate, with the defaults and the user's candidates beside it.

    Args:
        study: The study's name.
        model: What is served.
        base_flags: Flags that every launch of the study had.
        contenders: Every measured trial; at least one.
        target_rps: Requests per second.
        headroom: How many times the target rate must be sustained.
        slos: What the contenders were judged by.
    """
    chosen = choose(contenders, target_rps, headroom, slos)
    shown = {one.trial.number: _candidate(one, model, base_flags, target_rps) for one in contenders}
    best = shown[chosen.trial.number]
    capacity = chosen.capacity.rps
    return Answer(
        study=study,
        target_rps=target_rps,
        headroom_wanted=headroom,
        slos=tuple(str(slo) for slo in slos),
        trial=best.trial,
        flags=best.flags,
        command=best.command,
        capacity_rps=capacity,
        capacity_lower_rps=chosen.capacity.lower_rps,
        capacity_upper_rps=chosen.capacity.upper_rps,
        headroom=best.headroom,
        slo_met=capacity * _ROUNDING >= target_rps,
        sustained=capacity * _ROUNDING >= target_rps * headroom,
        replicas=math.ceil(target_rps * headroom / capacity / _ROUNDING) if capacity > 0 else None,
        best=best,
        baseline=next((shown[one.trial.number] for one in contenders if one.trial.role is TrialRole.BASELINE), None),
        candidates=tuple(shown[one.trial.number] for one in contenders if one.trial.role is TrialRole.CANDIDATE),
        contenders=len(contenders),
    )


def point_figures(point: LoadPoint) -> PointFigures:
    """Return a load point in the figures that people compare."""
    summary = point.summary
    return PointFigures(
        rate=point.arrivals.offered_rps,
        users=getattr(point.arrivals, "concurrency", None),
        requests=summary.completed + summary.failed,
        ttft_p50_ms=_milliseconds(summary.ttft.p50),
        ttft_p95_ms=_milliseconds(summary.ttft.p95),
        ttft_p99_ms=_milliseconds(summary.ttft.p99),
        tpot_p50_ms=_milliseconds(summary.tpot.p50),
        tpot_p95_ms=_milliseconds(summary.tpot.p95),
        tpot_p99_ms=_milliseconds(summary.tpot.p99),
        e2e_p95_ms=_milliseconds(summary.e2e.p95),
        goodput_rps=summary.goodput_rps,
        output_tokens_per_s=summary.output_tokens_per_s,
        failure_rate=summary.failure_rate,
        slo_met=summary.slo_met,
        slo_violations=summary.slo_violations,
    )


def _simplicity(contender: Contender) -> tuple[int, int]:
    return len(contender.trial.flags), contender.trial.number


def _candidate(contender: Contender, model: str, base_flags: Flags, target_rps: float) -> Candidate:
    trial = contender.trial
    at_target = point_at(contender.points, target_rps)
    return Candidate(
        trial=trial.number,
        role=trial.role,
        flags=trial.flags,
        command=serve_command(model, {**base_flags, **trial.flags}),
        capacity_rps=contender.capacity.rps,
        capacity_lower_rps=contender.capacity.lower_rps,
        capacity_upper_rps=contender.capacity.upper_rps,
        headroom=contender.capacity.rps / target_rps,
        at_target=point_figures(at_target) if at_target else None,
        load_points=tuple(point_figures(point) for point in contender.points),
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
