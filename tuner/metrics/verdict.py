"""Owns the verdict on a load point: which objectives its figures miss, in words with figures. Computes no figure."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.domain.measurement import Distribution, LoadSummary
from tuner.domain.slo import Latency, Slo
from tuner.domain.units import format_ms
from tuner.metrics.distributions import NEEDED

MAX_FAILURE_RATE = 0.01
"""A load point with more failed requests than this meets no SLO: latencies of the survivors prove nothing."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the verdict rests on."""

    ttft: Distribution
    tpot: Distribution
    itl: Distribution
    e2e: Distribution
    failure_rate: float
    queue_growing: bool
    given_up: str = ""
    """Why the load point ended early: its latencies are those of a part, and too low to meet any SLO."""

    def of(self, latency: Latency) -> Distribution:
        """Return the distribution of one latency."""
        return {Latency.TTFT: self.ttft, Latency.TPOT: self.tpot, Latency.ITL: self.itl, Latency.E2E: self.e2e}[latency]


def judged(summary: LoadSummary, slos: Sequence[Slo]) -> LoadSummary:
    """Return a stored summary with its verdict by other SLOs; goodput stays as it was measured."""
    broken = violations(
        Figures(
            ttft=summary.ttft,
            tpot=summary.tpot,
            itl=summary.itl,
            e2e=summary.e2e,
            failure_rate=summary.failure_rate,
            queue_growing=summary.queue_growing,
            given_up=summary.given_up,
        ),
        slos,
    )
    return summary.model_copy(update={"slo_met": not broken, "slo_violations": broken})


def violations(figures: Figures, slos: Sequence[Slo]) -> tuple[str, ...]:
    """Return what was not met, such as `ttft_p95 812 ms > 500 ms`; empty when everything was.

    An SLO whose percentile the sample can't support is not met: nothing was shown. Of a load point that was given up
    the reason is enough: its latencies are those of a part.
    """
    if figures.given_up:
        return (f"given up: {figures.given_up}",)
    found = [text for slo in slos if (text := _violation(slo, figures.of(slo.latency)))]
    if figures.failure_rate > MAX_FAILURE_RATE:
        found.append(f"{figures.failure_rate * 100:.1f} % of requests failed")
    if figures.queue_growing:
        found.append("requests in flight kept growing")
    return tuple(found)


def _violation(slo: Slo, measured: Distribution) -> str:
    value = measured.statistic(slo.percentile)
    if value is None:
        missing = NEEDED[slo.percentile] - measured.count
        return f"{slo.name} needs {missing} more requests: {measured.count} completed ones don't support it"
    return f"{slo.name} {format_ms(value)} > {format_ms(slo.limit)}" if value > slo.limit else ""
