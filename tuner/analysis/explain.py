"""Why a load point, or a trial, is as it is: every rule that holds, the most important first. Pure."""

from collections.abc import Callable
from typing import Literal

from tuner.analysis.evidence import EngineFacts, Evidence, facts_of
from tuner.analysis.explanation import Explanation, ExplanationKind, known
from tuner.analysis.figures import point_at
from tuner.analysis.phases import phase_bound
from tuner.analysis.rules import (
    client_bound,
    host_bound,
    idle_between_calls,
    kv_bound,
    power_capped,
    preempting,
    queue_bound,
    starved,
    thermally_throttled,
    tokenisation_bound,
)
from tuner.domain.base import Frozen
from tuner.domain.measurement import LoadPoint
from tuner.domain.slo import Latency
from tuner.domain.study import StudySpec
from tuner.domain.trial import Trial

_RULES: tuple[Callable[[Evidence], Explanation | None], ...] = (
    client_bound,
    thermally_throttled,
    preempting,
    kv_bound,
    queue_bound,
    tokenisation_bound,
    host_bound,
    phase_bound,
    idle_between_calls,
    starved,
    power_capped,
)
"""In the order of importance: what makes figures untrue, wastes work, holds requests up, or is merely so."""
_NOTES = frozenset({ExplanationKind.IDLE_BETWEEN_CALLS, ExplanationKind.POWER_CAPPED})
"""Said beside an explanation: alone they don't say why a load point is as it is."""


class ExplainedPoint(Frozen):
    """A load point of a trial, with its explanations."""

    index: int
    """Position within the trial."""
    load: str
    """Its arrivals in a few words."""
    why: Literal["target", "broke"]
    """At the target rate, or the lowest rate at which the SLOs broke."""
    explanations: tuple[Explanation, ...]


def is_throttled(point: LoadPoint) -> bool:
    """Return whether the GPU lowered its clocks against heat: the figures are those of a hot card."""
    return thermally_throttled(Evidence(point, EngineFacts())) is not None


def explain(point: LoadPoint, facts: EngineFacts) -> tuple[Explanation, ...]:
    """Return what held a load point back, the most important first; never nothing.

    Args:
        point: the load point.
        facts: what its engine was told, and the limits of its latencies.
    """
    evidence = Evidence(point, facts)
    found = [explanation for rule in _RULES if (explanation := rule(evidence)) is not None]
    if all(explanation.kind in _NOTES for explanation in found):
        found.insert(0, _without_a_cause(evidence))
    return tuple(found)


def explain_trial(trial: Trial, spec: StudySpec) -> tuple[ExplainedPoint, ...]:
    """Explain a trial's load point at the target rate, and the lowest rate that broke its SLOs, if another.

    Where no load point is valid, the first one tells why.
    """
    points, facts = trial.judged_points, facts_of(trial, spec)
    at_target = point_at(points, spec.target_rps) or next(iter(points), None)
    broke = min(
        (point for point in points if _broke(point)), key=lambda point: point.arrivals.offered_rps or 0.0, default=None
    )
    explained: list[ExplainedPoint] = []
    if at_target is not None:
        explained.append(_explained(at_target, "target", facts))
    if broke is not None and broke is not at_target:
        explained.append(_explained(broke, "broke", facts))
    return tuple(explained)


def _broke(point: LoadPoint) -> bool:
    return point.arrivals.offered_rps is not None and not point.summary.slo_met


def _explained(point: LoadPoint, why: Literal["target", "broke"], facts: EngineFacts) -> ExplainedPoint:
    return ExplainedPoint(index=point.index, load=point.arrivals.label, why=why, explanations=explain(point, facts))


def _without_a_cause(evidence: Evidence) -> Explanation:
    summary = evidence.point.summary
    figures = known(
        limit_share=evidence.pressure,
        failure_rate=summary.failure_rate,
        running_max=evidence.point.server.running_max,
        waiting_mean=evidence.point.server.waiting_mean,
    )
    seen = "; ".join(_seen(evidence))
    if summary.slo_met and not summary.queue_growing:
        return Explanation(
            kind=ExplanationKind.NOTHING_BINDS, text=f"Every SLO is met{f': {seen}' if seen else ''}.", figures=figures
        )
    what = "; ".join(summary.slo_violations) or "the queue kept growing"
    return Explanation(
        kind=ExplanationKind.UNEXPLAINED,
        text=f"{what}, and nothing that was read says why{f': {seen}' if seen else ''}.",
        figures=figures,
        advice="Read the launch's log.",
    )


def _seen(evidence: Evidence) -> list[str]:
    server, seats = evidence.point.server, evidence.facts.max_num_seqs
    seen = [str(use) for use in (evidence.use(Latency.TTFT), evidence.use(Latency.TPOT, Latency.ITL)) if use]
    if server.running_max is not None:
        seen.append(f"at most {server.running_max:.0f}{f' of {seats}' if seats else ''} requests ran at once")
    if server.waiting_mean is not None:
        seen.append(f"{server.waiting_mean:.1f} waited on average")
    return seen + ([str(evidence.busy)] if evidence.busy else [])
