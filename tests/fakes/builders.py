"""Builders of domain values for tests: everything has a default, each test names what it is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tuner.domain.arrivals import Arrivals, PoissonArrivals
from tuner.domain.failure import Failure
from tuner.domain.flags import FlagValue
from tuner.domain.load import ClientHealth
from tuner.domain.measurement import Capacity, Distribution, LoadPoint, LoadSummary, ServerFigures
from tuner.domain.study import StudySpec
from tuner.domain.trial import Launch, Provenance, Purpose, Study, Trial, TrialRole, TrialState

BEGAN = datetime(2026, 1, 1, 18, 0, tzinfo=UTC)
TRIAL_SECONDS = 60.0


def make_distribution(p95: float, count: int = 100) -> Distribution:
    """A latency distribution whose other statistics follow from its p95."""
    return Distribution(count=count, mean=p95 * 0.6, p50=p95 * 0.5, p90=p95 * 0.9, p95=p95, p99=None)


def make_summary(*, ttft: float = 0.1, tpot: float = 0.02, met: bool = True, **changes: Any) -> LoadSummary:
    """A load point's figures; latencies are p95 in seconds."""
    values: dict[str, Any] = {
        "completed": 100,
        "failed": 0,
        "failure_rate": 0.0,
        "offered_rps": 2.0,
        "achieved_rps": 2.0,
        "output_tokens_per_s": 64.0,
        "input_tokens_per_s": 256.0,
        "goodput_rps": 2.0 if met else 0.5,
        "users_mean": 1.0,
        "users_max": 4,
        "ttft": make_distribution(ttft),
        "tpot": make_distribution(tpot),
        "itl": make_distribution(tpot, 3000),
        "e2e": make_distribution(ttft + 31 * tpot),
        "ttft_from_send": make_distribution(ttft),
        "tokens_per_event": 1.0,
        "queue_growing": False,
        "slo_met": met,
        "slo_violations": () if met else ("ttft_p95 900 ms > 500 ms",),
    }
    return LoadSummary.model_validate(values | changes)


def make_point(rate: float = 2.0, *, index: int = 0, arrivals: Arrivals | None = None, **summary: Any) -> LoadPoint:
    """An open-loop load point at a rate."""
    return LoadPoint(
        index=index,
        arrivals=arrivals or PoissonArrivals(rate=rate),
        requests=100,
        seed=index,
        started_at=BEGAN,
        duration=50.0,
        summary=make_summary(offered_rps=rate, **summary),
        server=ServerFigures(),
        client=ClientHealth(cpu_s=1.0, cpu_share=0.02, lateness_p99=0.001, loop_lag_max=0.002),
    )


def make_ladder(
    holds: float, rates: tuple[float, ...] = (2.0, 4.0, 6.0, 8.0), ttft: float = 0.1
) -> tuple[LoadPoint, ...]:
    """Load points of a configuration that holds up to a rate and breaks TTFT above it."""
    return tuple(
        make_point(rate, index=index, ttft=ttft if rate <= holds else 0.9, met=rate <= holds)
        for index, rate in enumerate(rates)
        if rate <= holds or not any(holds < lower < rate for lower in rates)
    )


def make_trial(
    number: int = 0,
    *,
    flags: Mapping[str, FlagValue] | None = None,
    role: TrialRole = TrialRole.SAMPLED,
    state: TrialState = TrialState.MEASURED,
    points: tuple[LoadPoint, ...] = (),
    capacity: Capacity | None = None,
    failure: Failure | None = None,
    **changes: Any,
) -> Trial:
    """A stored trial that took a minute."""
    began = BEGAN + timedelta(seconds=number * TRIAL_SECONDS)
    values: dict[str, Any] = {
        "id": number + 1,
        "number": number,
        "role": role,
        "state": state,
        "flags": flags or {},
        "load_points": points,
        "capacity": capacity,
        "failure": failure,
        "started_at": began,
        "ended_at": began + timedelta(seconds=TRIAL_SECONDS),
    }
    return Trial.model_validate(values | changes)


def make_capacity(rps: float, *, width: float = 0.05, **changes: Any) -> Capacity:
    """A capacity whose 90 % interval reaches so far to either side."""
    values: dict[str, Any] = {"rps": rps, "lower_rps": rps / (1 + width), "upper_rps": rps * (1 + width)}
    return Capacity.model_validate(values | changes)


def make_launch(
    attempt: int = 1,
    purpose: Purpose = Purpose.MEASURE,
    *,
    minute: float = 0.0,
    capacity: Capacity | None = None,
    **changes: Any,
) -> Launch:
    """A launch that began so many minutes after the study and took 50 seconds."""
    began = BEGAN + timedelta(minutes=minute)
    values: dict[str, Any] = {
        "id": attempt,
        "trial_id": 1,
        "attempt": attempt,
        "purpose": purpose,
        "argv": ("vllm", "serve"),
        "log_path": "launch.log",
        "started_at": began,
        "ended_at": began + timedelta(seconds=50),
        "capacity": capacity,
    }
    return Launch.model_validate(values | changes)


def make_spec(**changes: Any) -> StudySpec:
    """A small study: two integers, one SLO."""
    values: dict[str, Any] = {
        "study": "night",
        "model": "m/tiny",
        "target_rps": 2.0,
        "search_space": {
            "parameters": {
                "max-num-seqs": {"type": "int", "low": 1, "high": 64, "log": True},
                "max-num-batched-tokens": {"type": "int", "low": 64, "high": 1024, "log": True},
            },
            "constraints": ["max-num-batched-tokens >= max-num-seqs"],
        },
        "workload": {"input_tokens": 128, "output_tokens": 32},
        "slos": {"ttft_p95": "500ms"},
    }
    return StudySpec.model_validate(values | changes)


def make_study(**changes: Any) -> Study:
    """A stored study."""
    return Study(id=1, name="night", spec=make_spec(**changes), created_at=BEGAN, provenance=Provenance(device="CPU"))
