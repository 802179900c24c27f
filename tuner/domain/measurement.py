"""Measured figures: summaries of load points, scrapes of the server, and what a trial's load points say together."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from tuner.domain.arrivals import Arrivals
from tuner.domain.base import Frozen
from tuner.domain.load import ClientHealth
from tuner.domain.slo import Latency, Percentile
from tuner.domain.telemetry import MachineFigures


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
    ttft_count: float | None = None
    """Requests that the TTFT histogram counted."""
    tpot_mean: float | None = None


class Reconciliation(Frozen):
    """What client and server say of the same load point. None is unknown."""

    client_requests: int
    """Requests whose first token came."""
    server_requests: float | None = None
    client_prompt_tokens: int
    server_prompt_tokens: float | None = None
    client_output_tokens: int
    server_output_tokens: float | None = None
    client_ttft_mean: float | None = None
    """Seconds, counted from the moment of sending."""
    server_ttft_mean: float | None = None
    mismatches: tuple[str, ...] = ()
    """What does not agree though it should, in words."""


class SessionFigures(Frozen):
    """User requests of several calls: conversations, or chains. Latencies are seconds."""

    completed: int
    """Sessions all of whose calls completed."""
    failed: int
    duration: Distribution
    """From a session's intended start to the last token of its last call, other work and thinking included."""
    calls_mean: float
    idle_share: float
    """Share of the load point in which no call was in flight: the engine had nothing to do."""
    idle_share_one_user: float | None = None
    """The same for a single user: the share of a session's duration without a call in flight, on average."""


class StepFigures(Frozen):
    """The calls of one step of a chain, one turn of a conversation, or one class of requests. Seconds."""

    label: str
    completed: int
    failed: int
    ttft: Distribution
    tpot: Distribution
    e2e: Distribution


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
    given_up: str = ""
    """Why the load point ended before all its requests were sent; its latencies are those of a part, and too low."""
    invalid: tuple[str, ...] = ()
    """Why its figures are the client's, not the server's, in words; empty for a valid load point."""
    sessions: SessionFigures | None = None
    steps: tuple[StepFigures, ...] = ()

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
    machine: MachineFigures = MachineFigures()
    reconciliation: Reconciliation | None = None


class Capacity(Frozen):
    """The highest rate that a configuration sustains with its SLOs met, and how sure that is."""

    rps: float
    """The estimate, requests per second; 0 when no rate held."""
    lower_rps: float = 0.0
    """Lower end of the interval."""
    upper_rps: float | None
    """Upper end of the interval; None when no measured rate broke: the capacity may be higher."""
    confidence: float = 0.9
    """How often such an interval holds the truth."""
    limited_by: str = ""
    """What breaks first above it: an SLO's name, or `queue`; empty when nothing did."""
    note: str = ""
    """What the interval's width is owed to, in words, where it is wider than asked for."""
