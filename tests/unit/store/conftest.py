from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tuner.domain.arrivals import Arrivals, PoissonArrivals
from tuner.domain.load import ClientHealth, Outcome, RequestRecord
from tuner.domain.measurement import Distribution, LoadPoint, LoadSummary, ServerFigures
from tuner.domain.study import StudySpec
from tuner.domain.trial import Provenance, TrialRole
from tuner.store.location import DatabaseLocation
from tuner.store.writer import Store, open_store

NOW = datetime(2026, 3, 1, 22, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def location(tmp_path: Path) -> DatabaseLocation:
    return DatabaseLocation.parse(str(tmp_path / "results.db"))


@pytest.fixture
def store(location: DatabaseLocation) -> Iterator[Store]:
    with open_store(location) as opened:
        yield opened


@pytest.fixture
def spec() -> StudySpec:
    return StudySpec.model_validate(
        {
            "study": "night",
            "model": "models/tiny",
            "engine": {"flags": "--dtype float16 --seed 0", "env": {"VLLM_USE_V1": "1"}},
            "target_rps": 2.5,
            "candidates": [{"max-num-seqs": 64}],
            "search_space": {
                "parameters": {
                    "max-num-seqs": {"type": "int", "low": 1, "high": 256, "log": True},
                    "enable-chunked-prefill": {"type": "bool"},
                    "max-num-batched-tokens": {"type": "int", "low": 64, "high": 8192, "only_when": "max-num-seqs > 1"},
                    "kv-cache-dtype": {"type": "categorical", "choices": ["auto", "fp8"]},
                },
                "constraints": ["max-num-batched-tokens >= max-num-seqs"],
            },
            "workload": {"input_tokens": {"type": "uniform", "low": 16, "high": 64}, "output_tokens": 32},
            "slos": {"ttft_p95": "500ms", "tpot_p95": 50},
            "budget": {"hours": 8, "until": "07:00"},
        }
    )


def distribution(value: float) -> Distribution:
    return Distribution(count=90, mean=value, p50=value * 0.9, p90=value * 1.2, p95=value * 1.3)


def _point(index: int = 0, arrivals: Arrivals | None = None) -> LoadPoint:
    summary = LoadSummary(
        completed=90,
        failed=10,
        failure_rate=0.1,
        offered_rps=2.5,
        achieved_rps=2.25,
        output_tokens_per_s=72.0,
        input_tokens_per_s=90.0,
        goodput_rps=2.0,
        users_mean=3.5,
        users_max=9,
        ttft=distribution(0.2),
        tpot=distribution(0.02),
        itl=distribution(0.02),
        e2e=distribution(0.9),
        ttft_from_send=distribution(0.19),
        tokens_per_event=1.0,
        queue_growing=False,
        slo_met=False,
        slo_violations=("10 % of the requests failed",),
        errors={"cut": 10},
    )
    return LoadPoint(
        index=index,
        arrivals=arrivals or PoissonArrivals(rate=2.5),
        requests=100,
        seed=2**63 + index,
        started_at=NOW,
        duration=40.0,
        summary=summary,
        server=ServerFigures(running_mean=3.0, preemptions=0.0),
        client=ClientHealth(cpu_s=1.5, cpu_share=0.0375, lateness_p99=0.001, loop_lag_max=0.002),
    )


def _records(count: int) -> tuple[RequestRecord, ...]:
    return tuple(
        RequestRecord(
            scheduled_at=float(n),
            sent_at=n + 0.001,
            event_times=(n + 0.2, n + 0.22),
            finished_at=n + 0.221,
            outcome=Outcome.OK,
            input_tokens=16,
            output_tokens=2,
            requested_tokens=2,
        )
        for n in range(count)
    )


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def make_point() -> Callable[..., LoadPoint]:
    return _point


@pytest.fixture
def records() -> tuple[RequestRecord, ...]:
    return _records(3)


class Night:
    """A store with one study, and short ways to fill it."""

    def __init__(self, store: Store, spec: StudySpec) -> None:
        self.store = store
        self.store.create_study(7, spec, Provenance(device="H100", device_count=1), NOW)

    def trial(self, number: int, role: TrialRole = TrialRole.SAMPLED) -> int:
        trial_id = 100 + number
        self.store.begin_trial(
            trial_id, 7, number, role=role,
            flags={"max-num-seqs": 2**number, "kv-cache-dtype": "auto", "enforce-eager": True},
            resolved={"max-num-seqs": 2**number, "seed": None},
            fingerprint=f"f{number}", started_at=NOW,
        )  # fmt: skip
        return trial_id

    def launch(self, trial_id: int, attempt: int = 1) -> int:
        return self.store.begin_launch(
            trial_id, attempt, argv=("python", "-m", "vllm"), log_path="logs/1.log", started_at=NOW,
            provenance=Provenance(device="H100", vllm_version="0.32.0"),
        )  # fmt: skip


@pytest.fixture
def night(store: Store, spec: StudySpec) -> Night:
    return Night(store, spec)
