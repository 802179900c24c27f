"""Measured figures: summaries of load points, scrapes of the server, and what a trial's load points say together."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from tuner.domain.base import Frozen
from tuner.domain.load import ClientHealth
from tuner.domain.slo import Latency, Percentile
from tuner.domain.workload import Arrivals


class Distribution(Frozen):
    """Statistics of a latency in seconds. A percentile that the sample can't support is None."""

    count: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None

    def statistic(self, percentile: Percentile) -> float | None:
        """Return one statistic, or None where the sample does not support it."""
        return {
            Percentile.MEAN: self.mean,
            Percentile.P50: self.p50,
            Percentile.P90: self.p90,
            Percentile.P95: self.p95,
            Percentile.P99: self.p99,
        }[percentile]


class ServerFigures(Frozen):
    """What the server's own /metrics say about a load point. None is unknown, never zero."""

    running_mean: float | None = None
    running_max: float | None = None
    waiting_mean: float | None = None
    waiting_max: float | None = None
    kv_cache_usage_max: float | None = None
    """Share of the KV cache in use, 0 to 1."""
    preemptions: float | None = None
    prefix_cache_hit_rate: float | None = None
    """Hits over queries, in tokens, during the load point."""
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    prompt_tokens_per_s: float | None = None
    generation_tokens_per_s: float | None = None
    ttft_mean: float | None = None
    """Seconds, by the histogram's exact sum and count."""
    tpot_mean: float | None = None


class LoadSummary(Frozen):
    """One load point in figures. Latencies are seconds, by client timestamps, of completed requests."""

    completed: int
    failed: int
    failure_rate: float
    """Failed requests over all requests, 0 to 1."""
    offered_rps: float | None
    """The rate the arrivals were drawn for; None under closed loop."""
    achieved_rps: float
    """Completed requests per second of the load point."""
    output_tokens_per_s: float
    input_tokens_per_s: float
    goodput_rps: float
    """Requests per second that met every SLO's limit, each judged by itself."""
    users_mean: float
    """Requests in flight, averaged over time."""
    users_max: int
    ttft: Distribution
    tpot: Distribution
    itl: Distribution
    e2e: Distribution
    ttft_from_send: Distribution
    """TTFT from the moment of sending, for comparison with tools that know no schedule."""
    tokens_per_event: float
    """Mean output tokens per stream event: above 1, gaps between events are not gaps between tokens."""
    queue_growing: bool
    """Whether requests in flight kept growing: the rate is above what the server sustains."""
    slo_met: bool
    """Every SLO's percentile within its limit, at most 1 % failed, queue not growing."""
    slo_violations: tuple[str, ...] = ()
    """What was not met, in words; empty when `slo_met`."""
    errors: dict[str, int] = {}
    """Failed requests by outcome."""

    def latency(self, latency: Latency) -> Distribution:
        """Return the distribution of one latency."""
        return {Latency.TTFT: self.ttft, Latency.TPOT: self.tpot, Latency.ITL: self.itl, Latency.E2E: self.e2e}[latency]


class Scrape(Frozen):
    """One reading of /metrics. A metric the server does not have is None."""

    at: float
    """Seconds since the load point's start (negative: before it), monotonic."""
    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None
    preemptions: float | None = None
    prefix_cache_queries: float | None = None
    prefix_cache_hits: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    ttft_sum: float | None = None
    ttft_count: float | None = None
    tpot_sum: float | None = None
    tpot_count: float | None = None
    ttft_buckets: dict[str, float] | None = None
    """Cumulative counts by upper bound, as the server names them."""
    tpot_buckets: dict[str, float] | None = None


class LoadPoint(Frozen):
    """One measured interval of a launch: its arrivals and its figures, without the raw records."""

    index: Annotated[int, Field(ge=0)]
    """Position within the trial, from 0, counted on over its launches."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """Which of the trial's launches measured it."""
    arrivals: Arrivals
    requests: int
    seed: int
    started_at: AwareDatetime
    duration: float
    """Seconds."""
    summary: LoadSummary
    server: ServerFigures
    client: ClientHealth


class Capacity(Frozen):
    """The highest rate that held, and the lowest that did not."""

    rps: float
    """The highest measured rate with SLOs met and the queue not growing; 0 when even the lowest broke."""
    upper_rps: float | None
    """The lowest measured rate above it that broke; None when none did: the capacity may be higher."""
