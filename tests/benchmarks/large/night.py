"""Trials of a night that never was: plausible figures, computed from simulated requests by the tuner's own formulas.

A configuration has a capacity that depends on its flags. Waiting grows as the rate nears it (the M/M/1 queue's
1 / (1 - load)); above it the queue grows for as long as requests come.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from tuner.domain.arrivals import PoissonArrivals
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.load import ClientHealth, LoadResult, Outcome, RequestRecord
from tuner.domain.measurement import Capacity, LoadPoint, Scrape, ServerFigures
from tuner.domain.study import StudySpec
from tuner.domain.telemetry import MachineSample
from tuner.domain.trial import TrialRole, TrialState
from tuner.metrics.summary import summarise

BEGAN = datetime(2026, 1, 1, 18, 0, tzinfo=UTC)
TRIAL_SECONDS = 90.0
_PROMPT, _ANSWER = 512, 16
_HEALTHY = ClientHealth(cpu_s=0.3, cpu_share=0.02, lateness_p99=0.0002, loop_lag_p99=0.0002, loop_lag_max=0.001)
_OUT_OF_MEMORY = Failure(kind=FailureKind.OOM_START, evidence="torch.OutOfMemoryError: CUDA out of memory.")

SPEC: dict[str, Any] = {
    "study": "large",
    "model": "example/model-8b",
    "target_rps": 10,
    "search_space": {
        "parameters": {
            "max-num-seqs": {"type": "int", "low": 8, "high": 1024, "log": True},
            "max-num-batched-tokens": {"type": "int", "low": 512, "high": 32768, "log": True},
            "gpu-memory-utilization": {"type": "float", "low": 0.8, "high": 0.96, "step": 0.02},
            "block-size": {"type": "categorical", "choices": [16, 32, 64, 128]},
            "enable-prefix-caching": {"type": "bool"},
        }
    },
    "workload": {"input_tokens": _PROMPT, "output_tokens": _ANSWER},
    "slos": {"ttft_p95": "500ms", "tpot_p95": "50ms"},
}
DEFAULTS: dict[str, FlagValue] = {
    "max-num-seqs": 256,
    "max-num-batched-tokens": 8192,
    "gpu-memory-utilization": 0.9,
    "block-size": 16,
    "enable-prefix-caching": True,
}


@dataclass(frozen=True, slots=True)
class Point:
    """A load point with its raw readings."""

    point: LoadPoint
    records: tuple[RequestRecord, ...]
    scrapes: tuple[Scrape, ...]
    samples: tuple[MachineSample, ...]


@dataclass(frozen=True, slots=True)
class Night:
    """A trial with all that was measured of it."""

    number: int
    role: TrialRole
    state: TrialState
    flags: dict[str, FlagValue]
    resolved: dict[str, FlagValue]
    duplicate_of: int | None
    failure: Failure | None
    capacity: Capacity | None
    points: tuple[Point, ...]

    @property
    def began(self) -> datetime:
        """When the trial began."""
        return BEGAN + timedelta(seconds=self.number * TRIAL_SECONDS)

    @property
    def ended(self) -> datetime:
        """When it ended."""
        return self.began + timedelta(seconds=TRIAL_SECONDS - 1)


@cache
def spec() -> StudySpec:
    """Return the study's spec."""
    return StudySpec.model_validate(SPEC)


def states(trials: int) -> list[TrialState]:
    """Return what becomes of each trial: nine in ten are measured, trial 0 among them."""
    ends = [TrialState.FAILED, TrialState.INFEASIBLE, TrialState.DUPLICATE]
    return [ends[number // 10 % 3] if number % 10 == 9 else TrialState.MEASURED for number in range(trials)]


def trial(number: int, state: TrialState, requests: list[int]) -> Night:
    """Return a trial whose load points have so many requests each."""
    rng = np.random.default_rng(number)
    flags = {} if number == 0 else _flags(rng)
    resolved = DEFAULTS | flags
    measured = state is TrialState.MEASURED
    rate = _capacity_rps(resolved) * rng.normal(1, 0.02)
    capacity = Capacity(rps=rate, lower_rps=rate * 0.95, upper_rps=rate * 1.05, limited_by="ttft_p95")
    return Night(
        number=number,
        role=TrialRole.BASELINE if number == 0 else TrialRole.SAMPLED,
        state=state,
        flags=flags,
        resolved=resolved,
        duplicate_of=number - 1 if state is TrialState.DUPLICATE else None,
        failure=_OUT_OF_MEMORY if state is TrialState.FAILED else None,
        capacity=capacity if measured else None,
        points=_points(rng, number, rate, requests) if measured else (),
    )


def _flags(rng: np.random.Generator) -> dict[str, FlagValue]:
    return {
        "max-num-seqs": round(2 ** rng.uniform(3, 10)),
        "max-num-batched-tokens": round(2 ** rng.uniform(9, 15)),
        "gpu-memory-utilization": round(0.8 + 0.02 * int(rng.integers(0, 9)), 2),
        "block-size": int(rng.choice([16, 32, 64, 128])),
        "enable-prefix-caching": bool(rng.integers(0, 2)),
    }


def _capacity_rps(values: dict[str, FlagValue]) -> float:
    """Return a capacity with one strong flag, one that matters where it is large, and three that hardly do."""
    seats, budget = np.log2(float(values["max-num-seqs"])), np.log2(float(values["max-num-batched-tokens"]))
    return float(24 * np.exp(-(((seats - 8) / 3) ** 2)) * (1 - 0.05 * (budget - 13) ** 2 / 4 * (seats > 6)) + 1)


def _points(rng: np.random.Generator, number: int, capacity: float, requests: list[int]) -> tuple[Point, ...]:
    """Return the load points of a search: at the target rate, below the capacity, at it, above it, and so on."""
    rates = [SPEC["target_rps"], *(capacity * (0.8 + 0.2 * step) for step in range(len(requests) - 1))]
    pairs = zip(rates, requests, strict=True)
    return tuple(_point(rng, number, index, rate, capacity, count) for index, (rate, count) in enumerate(pairs))


def _point(rng: np.random.Generator, number: int, index: int, rate: float, capacity: float, count: int) -> Point:
    records = _records(rng, rate, capacity, count)
    duration = max(record.finished_at for record in records)
    arrivals = PoissonArrivals(rate=rate)
    result = LoadResult(started_at=0.0, duration=duration, records=records, client=_HEALTHY)
    point = LoadPoint(
        index=index,
        arrivals=arrivals,
        requests=count,
        seed=number * 100 + index,
        started_at=BEGAN + timedelta(seconds=number * TRIAL_SECONDS + 20 + index * 10),
        duration=duration,
        summary=summarise(result, arrivals, spec().slos),
        server=ServerFigures(running_mean=rate * 0.2, running_max=20.0, waiting_mean=0.1, kv_cache_usage_max=0.4),
        client=_HEALTHY,
    )
    ticks = np.arange(0, duration, 1.0).tolist()
    scrapes = tuple(Scrape(at=at, running=4.0, waiting=0.0, kv_cache_usage=0.4) for at in ticks)
    samples = tuple(MachineSample(at=at, cpu_share=0.3, memory_available_bytes=10**11) for at in ticks)
    return Point(point, records, scrapes, samples)


def _records(rng: np.random.Generator, rate: float, capacity: float, count: int) -> tuple[RequestRecord, ...]:
    arrivals = np.cumsum(rng.exponential(1 / rate, count))
    load = min(rate / capacity, 0.98)
    late = np.maximum(0.0, np.arange(count) * (1 / capacity - 1 / rate))
    first = 0.04 + rng.exponential(0.03 / (1 - load), count) + late
    gaps = rng.gamma(16, 0.012 * (1 + load) / 16, (count, _ANSWER - 1))
    events = np.cumsum(np.column_stack([arrivals + first, gaps]), axis=1)
    return tuple(
        RequestRecord(start, start + 1e-4, tuple(times), times[-1] + 1e-4, Outcome.OK, _PROMPT, _ANSWER, _ANSWER)
        for start, times in zip(arrivals.tolist(), events.tolist(), strict=True)
    )
