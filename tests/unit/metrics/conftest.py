"""Builders of load points, by their rate and whether they held."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tuner.domain.arrivals import Arrivals, ClosedLoop, PoissonArrivals
from tuner.domain.load import ClientHealth
from tuner.domain.measurement import Distribution, LoadPoint, LoadSummary, ServerFigures

MakePoint = Callable[..., LoadPoint]
EMPTY = Distribution(count=0)


def _summary(**given: Any) -> LoadSummary:
    counts = {"completed": 100, "failed": 0, "failure_rate": 0.0, "users_max": 9}
    rates = dict.fromkeys(
        ("achieved_rps", "output_tokens_per_s", "input_tokens_per_s", "goodput_rps", "users_mean", "tokens_per_event"),
        1.0,
    )
    latencies = dict.fromkeys(("ttft", "tpot", "itl", "e2e", "ttft_from_send"), EMPTY)
    verdict = {"offered_rps": None, "queue_growing": False, "slo_met": True}
    return LoadSummary.model_validate({**counts, **rates, **latencies, **verdict, **given})


@pytest.fixture
def make_point() -> MakePoint:
    """Return a builder: `make_point(4.0, slo_met=False, ttft=Distribution(…))`; without a rate it is closed loop."""

    def make(rate: float | None = None, *, users: int = 8, **given: Any) -> LoadPoint:
        arrivals: Arrivals = ClosedLoop(concurrency=users) if rate is None else PoissonArrivals(rate=rate)
        return LoadPoint(
            index=0,
            arrivals=arrivals,
            requests=100,
            seed=0,
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            duration=10.0,
            summary=_summary(**given),
            server=ServerFigures(),
            client=ClientHealth(cpu_s=1, cpu_share=0.1, lateness_p99=0, loop_lag_max=0),
        )

    return make
