"""One load point as evidence: what its figures say of seats, waiting, limits and the machine. Pure.

Owns the derived figures that explanations rest on, each defined once. Judges nothing: that is `tuner.analysis.rules`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tuner.domain.base import Frozen
from tuner.domain.measurement import LoadPoint
from tuner.domain.slo import Latency, Slo
from tuner.domain.study import StudySpec
from tuner.domain.telemetry import GpuFigures, MachineFigures
from tuner.domain.trial import Trial
from tuner.domain.units import format_ms

FULL_KV_CACHE = 0.95
"""Share of the KV cache from which on it counts as full: vLLM hands out whole blocks, and keeps a few back."""

_ENGINE_CORE = ("VLLM::EngineCore",)
"""The scheduler's process, as it calls itself. A worker's CPU share tells nothing: it spins while it waits for work."""
_API_SERVER = ("VLLM::APIServer", "vllm.entrypoints", "vllm")
"""A single API server has no title and goes by its module."""


class EngineFacts(Frozen):
    """What the engine was told: settings as vLLM resolves them, and the limits that its latencies have."""

    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    slos: tuple[Slo, ...] = ()


def facts_of(trial: Trial, spec: StudySpec) -> EngineFacts:
    """Return the facts of a trial; a setting that neither the study nor the server's log names is None."""
    return EngineFacts(
        max_num_seqs=_setting(trial, "max-num-seqs"),
        max_num_batched_tokens=_setting(trial, "max-num-batched-tokens"),
        slos=spec.slos,
    )


def _setting(trial: Trial, name: str) -> int | None:
    logged = trial.launches[-1].resolved.get(name.replace("-", "_")) if trial.launches else None
    candidates = (trial.resolved.get(name), trial.flags.get(name), logged)
    return next((value for value in candidates if isinstance(value, int) and not isinstance(value, bool)), None)


@dataclass(frozen=True, slots=True)
class Use:
    """How much of an SLO's limit a load point uses."""

    slo: Slo
    seconds: float

    @property
    def share(self) -> float:
        """The statistic over the limit; above 1 the SLO is broken."""
        return self.seconds / self.slo.limit

    def __str__(self) -> str:
        """Return it for people: `TTFT p95 uses 92 % of its limit (460 ms of 500 ms)`."""
        of = f"{format_ms(self.seconds)} of {format_ms(self.slo.limit)}"
        return f"{self.slo.latency.upper()} {self.slo.percentile} uses {percent(self.share)} of its limit ({of})"


@dataclass(frozen=True, slots=True)
class Busy:
    """How busy the engine was: its busiest GPU; without a GPU, its EngineCore."""

    share: float
    on_gpu: bool

    def __str__(self) -> str:
        """Return it for people: `the GPU was busy 41 % of the time`."""
        if self.on_gpu:
            return f"the GPU was busy {percent(self.share)} of the time"
        return f"EngineCore used {self.share:.2f} of a core"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A load point and the facts of its engine. A property that can't be known is None."""

    point: LoadPoint
    facts: EngineFacts

    def use(self, *latencies: Latency) -> Use | None:
        """Return the fullest SLO of these latencies."""
        wanted = [slo for slo in self.facts.slos if slo.latency in latencies]
        measured = [(slo, self.point.summary.latency(slo.latency).statistic(slo.percentile)) for slo in wanted]
        uses = [Use(slo, seconds) for slo, seconds in measured if seconds is not None]
        return max(uses, key=lambda use: use.share, default=None)

    @property
    def pressure(self) -> float | None:
        """The fullest of all SLOs, as a share of its limit."""
        use = self.use(*Latency)
        return use.share if use else None

    @property
    def waiting(self) -> float:
        """Requests that waited, on average; 0 where it is unknown."""
        return self.point.server.waiting_mean or 0.0

    @property
    def wait_s(self) -> float | None:
        """Seconds that a request waited on average, by Little's law: those waiting over those served per second."""
        served = self.point.server.ttft_count
        rate = served / self.point.duration if served and self.point.duration else self.point.summary.achieved_rps
        return self.waiting / rate if rate else None

    @property
    def wait_share(self) -> float:
        """Share of the mean TTFT that was spent waiting, at most 1; 0 where it is unknown."""
        mean = self.point.summary.ttft.mean
        return min(1.0, self.wait_s / mean) if mean and self.wait_s else 0.0

    @property
    def seats_full(self) -> bool:
        """Whether as many requests ran as `max-num-seqs` admits."""
        running, seats = self.point.server.running_max, self.facts.max_num_seqs
        return running is not None and seats is not None and running >= seats

    @property
    def held_up(self) -> bool:
        """Whether requests that waited did so for a seat or for KV cache, as far as is known, not for prefill.

        Where neither is short, what they wait for is room in a step: `max-num-batched-tokens`.
        """
        return self.seats_full or self.kv_cache_full or self.facts.max_num_seqs is None

    @property
    def kv_cache_full(self) -> bool:
        """Whether the KV cache had no room for another request."""
        usage = self.point.server.kv_cache_usage_max
        return usage is not None and usage >= FULL_KV_CACHE

    @property
    def prompt_share(self) -> float | None:
        """Share of the computed tokens that belonged to prompts; those found in the prefix cache were not computed."""
        server = self.point.server
        if server.prompt_tokens is None or server.generation_tokens is None:
            return None
        computed = server.prompt_tokens * (1 - (server.prefix_cache_hit_rate or 0.0))
        whole = computed + server.generation_tokens
        return computed / whole if whole else None

    @property
    def busy(self) -> Busy | None:
        """The busiest GPU, or EngineCore where there is none. A GPU that the engine leaves idle plays no part."""
        gpus = [gpu.utilisation_mean for gpu in self.point.machine.gpus if gpu.utilisation_mean is not None]
        if gpus:
            return Busy(max(gpus), on_gpu=True)
        share = self.engine_share
        return None if share is None or self.point.machine.gpus else Busy(share, on_gpu=False)

    @property
    def engine_share(self) -> float | None:
        """CPU share of the busiest EngineCore; 1 is a core."""
        return _busiest(self.point.machine, _ENGINE_CORE)

    @property
    def api_share(self) -> float | None:
        """CPU share of the busiest API server; 1 is a core."""
        return _busiest(self.point.machine, _API_SERVER)

    def most_throttled(self, reasons: Iterable[str]) -> tuple[GpuFigures, float] | None:
        """Return the GPU that was held back most by one of these clock event reasons, and in which share of samples."""
        wanted = tuple(reasons)
        found = [(gpu, max(gpu.throttled.get(reason, 0.0) for reason in wanted)) for gpu in self.point.machine.gpus]
        return max(found, key=lambda one: one[1], default=None)


def _busiest(machine: MachineFigures, prefixes: tuple[str, ...]) -> float | None:
    shares = (process.cpu_share_mean for process in machine.processes if process.name.startswith(prefixes))
    return max(shares, default=None)


def percent(share: float) -> str:
    """Return a share for people: `41 %`, `0.4 %`."""
    return f"{share * 100:.0f} %" if share >= 0.01 or not share else f"{share * 100:.1f} %"  # noqa: PLR2004  # 1 %
