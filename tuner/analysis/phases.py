"""Which phase makes the latency that is nearest to its limit: prefill, or decode. Pure.

Prefill computes a prompt's tokens and ends with the first token: it is bound by arithmetic, and TTFT shows it. Decode
computes one token per request and step: it is bound by memory bandwidth, and TPOT and ITL show it.
"""

from collections.abc import Sequence

from tuner.analysis.evidence import Evidence, Use, percent
from tuner.analysis.explanation import Explanation, ExplanationKind, known, now
from tuner.analysis.rules import LITTLE_ROOM, LONG_WAIT, busy_figures
from tuner.domain.slo import Latency
from tuner.domain.units import format_ms

WORTH_SAYING = 0.5
"""Below half of every limit nothing binds: latency is on the flat part of its curve over the rate."""
_HALF = 0.5
_UNEVEN = 3.0
"""Gaps between tokens this many times the median: something else was in those steps."""
_ONE_TOKEN = 1.2
"""Tokens per event up to which a gap between events is a gap between tokens."""

_K = ExplanationKind


def phase_bound(evidence: Evidence) -> Explanation | None:
    """A latency is near its limit, or the queue grows: name the phase that makes it.

    TTFT is prefill's, unless half of it was waiting for a seat or for KV cache. TPOT and ITL are decode's. End-to-end
    latency is that of the phase which takes the larger part of it.
    """
    use = evidence.use(*Latency)
    if use is None or (use.share < WORTH_SAYING and not evidence.point.summary.queue_growing):
        return None
    if use.slo.latency is Latency.TTFT or (use.slo.latency is Latency.E2E and _first_token_late(evidence)):
        return None if evidence.wait_share >= _HALF and evidence.held_up else _prefill_bound(evidence, use)
    return _decode_bound(evidence, use)


def _first_token_late(evidence: Evidence) -> bool:
    first, whole = evidence.point.summary.ttft.mean, evidence.point.summary.e2e.mean
    return first is not None and whole is not None and first >= whole * _HALF


def _prefill_bound(evidence: Evidence, use: Use) -> Explanation:
    answers, budget = evidence.use(Latency.TPOT, Latency.ITL), evidence.facts.max_num_batched_tokens
    return Explanation(
        kind=_K.PREFILL_BOUND,
        text=f"{_both(use, answers)}: prefill sets the pace{_in_brackets(_signs_of_prefill(evidence))}.",
        figures=known(
            **_use_figures(use, answers),
            **busy_figures(evidence),
            prompt_token_share=evidence.prompt_share,
            wait_s=evidence.wait_s,
            max_num_batched_tokens=budget,
        ),
        advice=_advice_for_prefill(answers, budget),
    )


def _signs_of_prefill(evidence: Evidence) -> list[str]:
    signs: list[str] = []
    if evidence.wait_share >= LONG_WAIT and not evidence.held_up:
        signs.append(f"requests waited {format_ms(evidence.wait_s or 0.0)} for room in a step")
    if evidence.prompt_share is not None:
        signs.append(f"{percent(evidence.prompt_share)} of the computed tokens belong to prompts")
    return signs + ([str(evidence.busy)] if evidence.busy else [])


def _advice_for_prefill(answers: Use | None, budget: int | None) -> str:
    if answers is not None and answers.share >= LITTLE_ROOM:
        return "Add a replica or shorten prompts: a larger max-num-batched-tokens costs answers, which have no room."
    return (
        f"Raise max-num-batched-tokens{now(budget)} so that a prompt takes fewer steps; enable-prefix-caching where "
        "prompts share a beginning; or shorten prompts."
    )


def _decode_bound(evidence: Evidence, use: Use) -> Explanation:
    ttft, uneven = evidence.use(Latency.TTFT), _unevenness(evidence)
    if uneven is not None and uneven >= _UNEVEN:
        why = f"one gap in twenty is {uneven:.1f} times the median or longer: prompts in the same step hold answers up"
        advice = f"Lower max-num-batched-tokens{now(evidence.facts.max_num_batched_tokens)}: shorter steps."
    else:
        why, advice = _long_steps(evidence)
    return Explanation(
        kind=_K.DECODE_BOUND,
        text=f"{_both(use, ttft)}: {why}.",
        figures=known(
            **_use_figures(use, ttft),
            **busy_figures(evidence),
            running_max=evidence.point.server.running_max,
            itl_p95_over_p50=uneven,
            max_num_seqs=evidence.facts.max_num_seqs,
            max_num_batched_tokens=evidence.facts.max_num_batched_tokens,
        ),
        advice=advice,
    )


def _unevenness(evidence: Evidence) -> float | None:
    """Return ITL p95 over its median, where events are single tokens."""
    itl = evidence.point.summary.itl
    if evidence.point.summary.tokens_per_event >= _ONE_TOKEN or itl.p95 is None or not itl.p50:
        return None
    return itl.p95 / itl.p50


def _long_steps(evidence: Evidence) -> tuple[str, str]:
    running, shorter = evidence.point.server.running_max, "quantised weights or an fp8 KV cache shorten every step"
    if not running:
        return "decode steps set the pace", f"Lower max-num-seqs, or add a replica; {shorter}."
    signs = [f"up to {running:.0f} requests share one"] + ([str(evidence.busy)] if evidence.busy else [])
    why = f"decode steps set the pace{_in_brackets(signs)}"
    return (
        why,
        f"Lower max-num-seqs{now(evidence.facts.max_num_seqs)} below {running:.0f}, or add a replica; {shorter}.",
    )


def _in_brackets(signs: Sequence[str]) -> str:
    return f" ({', '.join(signs)})" if signs else ""


def _both(use: Use, other: Use | None) -> str:
    return str(use) if other is None or other == use else f"{use}, {other}"


def _use_figures(use: Use, other: Use | None) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for one in (use, other):
        if one is not None:
            figures[f"{one.slo.name}_s"] = one.seconds
            figures[f"{one.slo.name}_limit_s"] = one.slo.limit
    return figures
