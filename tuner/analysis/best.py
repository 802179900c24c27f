"""`tuner best`: the configuration that sustains a target rate with headroom, at the best latency.

Owns the answer: the choice with its interval, what ties with it, what it gains, why it is named, whether that is
confirmed. What a contender's capacity is under the SLOs asked for is handed in; nothing is measured here.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from tuner.analysis.confirmation import Confirmation, Repeated, before, verdict_on
from tuner.analysis.contender import Contender, baseline_of, limit_share
from tuner.analysis.figures import point_at
from tuner.analysis.gain import Expected, Gain, expected, gain
from tuner.analysis.reasons import why
from tuner.analysis.ties import race
from tuner.analysis.undecided import Undecided
from tuner.domain.base import Frozen
from tuner.domain.flags import Flags, FlagValue, serve_command
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import Slo
from tuner.domain.trial import TrialRole

__all__ = ["Answer", "Candidate", "Contender", "PointFigures", "answer", "choose", "limit_share", "point_figures"]

_ROUNDING = 1 + 1e-9


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
    undecided: Undecided | None = None
    """What the measured rates leave open of its capacity, and the load point that would tell."""


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
    clear_winner: bool
    """No other configuration can be taken for as good."""
    ties: tuple[int, ...]
    """Trials that can't be told apart within noise, the named one included; empty where it is the clear winner."""
    expected: Expected | None
    """What another launch should sustain, the winner's curse taken out; None where its capacity has an open end."""
    gain: Gain | None
    """Its capacity over that of vLLM's defaults; None where those were not measured."""
    why: tuple[str, str]
    """Two sentences: which limit binds, and what the others lost."""
    confirmed: Confirmation
    """Whether fresh launches of it and of the defaults say the same."""


def choose(contenders: Sequence[Contender], target_rps: float, headroom: float, slos: Sequence[Slo]) -> Contender:
    """Return the contender to name for a target rate.

    Among those that sustain target times headroom, the one that uses the smallest share of its tightest SLO at the
    target rate; where none does, the one with the highest capacity. Of those that measured about as well, the one with
    the fewest flags (`tuner.analysis.ties`).

    Args:
        contenders: At least one.
        target_rps: Requests per second.
        headroom: How many times the target rate must be sustained.
        slos: What `Contender.capacity` was judged by.
    """
    run = race(contenders, target_rps, headroom, slos)
    return run.contenders[run.named]


def answer(
    study: str,
    model: str,
    base_flags: Flags,
    contenders: Sequence[Contender],
    *,
    target_rps: float,
    headroom: float,
    slos: Sequence[Slo],
    whole: Callable[[Contender], Contender] = lambda one: one,
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
        whole: From a contender that was only glimpsed at to itself with its load points, which an answer shows.
    """
    run = race(contenders, target_rps, headroom, slos)
    confirmed = verdict_on(run, before(run, target_rps, headroom, slos))
    repeated = {one.trial: one for one in confirmed.repeated}
    capacities = {place: _capacity(run.contenders[place], repeated) for place in run.among}
    shown = {
        one.trial.number: _candidate(whole(one), capacities.get(place, one.capacity), model, base_flags, target_rps)
        for place, one in enumerate(contenders)
        if place == run.named or one.trial.role in {TrialRole.BASELINE, TrialRole.CANDIDATE}
    }
    best, capacity = shown[contenders[run.named].trial.number], capacities[run.named]
    defaults = baseline_of(contenders)
    ties = tuple(sorted(contenders[place].trial.number for place in run.tied)) if len(run.tied) > 1 else ()
    place = run.among.index(run.named)
    return Answer(
        study=study,
        target_rps=target_rps,
        headroom_wanted=headroom,
        slos=tuple(str(slo) for slo in slos),
        trial=best.trial,
        flags=best.flags,
        command=best.command,
        capacity_rps=capacity.rps,
        capacity_lower_rps=capacity.lower_rps,
        capacity_upper_rps=capacity.upper_rps,
        headroom=best.headroom,
        slo_met=capacity.rps * _ROUNDING >= target_rps,
        sustained=capacity.rps * _ROUNDING >= target_rps * headroom,
        replicas=math.ceil(target_rps * headroom / capacity.rps / _ROUNDING) if capacity.rps > 0 else None,
        best=best,
        baseline=shown[defaults.trial.number] if defaults else None,
        candidates=tuple(one for one in shown.values() if one.role is TrialRole.CANDIDATE),
        contenders=len(contenders),
        clear_winner=not ties and capacity.rps > 0,
        ties=ties,
        expected=expected(run.found, place),
        gain=gain(run.found, place, run.among.index(contenders.index(defaults))) if defaults else None,
        why=why(run, capacities, target_rps=target_rps, slos=slos),
        confirmed=confirmed,
    )


def _capacity(one: Contender, repeated: dict[int, Repeated]) -> Capacity:
    """Return a contender's capacity as it is told: that of its repeated launches, where they count."""
    again = repeated.get(one.trial.number)
    if again is None:
        return one.capacity
    limits = Counter(capacity.limited_by for capacity in one.repeats)
    return Capacity(
        rps=again.rps,
        lower_rps=again.lower_rps,
        upper_rps=again.upper_rps,
        limited_by=limits.most_common(1)[0][0],
        note=f"of {again.launches} fresh launches",
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


def _candidate(contender: Contender, capacity: Capacity, model: str, base_flags: Flags, target_rps: float) -> Candidate:
    trial = contender.trial
    at_target = point_at(contender.points, target_rps)
    return Candidate(
        trial=trial.number,
        role=trial.role,
        flags=trial.flags,
        command=serve_command(model, {**base_flags, **trial.flags}),
        capacity_rps=capacity.rps,
        capacity_lower_rps=capacity.lower_rps,
        capacity_upper_rps=capacity.upper_rps,
        headroom=capacity.rps / target_rps,
        at_target=point_figures(at_target) if at_target else None,
        load_points=tuple(point_figures(point) for point in contender.points),
        undecided=contender.undecided,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
