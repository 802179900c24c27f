from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tuner.domain.arrivals import (
    Arrivals,
    ClosedLoop,
    ConstantArrivals,
    GammaArrivals,
    PoissonArrivals,
    RampArrivals,
    TraceArrivals,
)

READER: TypeAdapter[Arrivals] = TypeAdapter(Arrivals)


@pytest.mark.parametrize(
    ("arrivals", "label", "offered"),
    [
        (ClosedLoop(concurrency=32), "32 users", None),
        (PoissonArrivals(rate=2.5), "2.5 req/s", 2.5),
        (ConstantArrivals(rate=4), "4 req/s", 4),
        (GammaArrivals(rate=4, burstiness=0.5), "4 req/s", 4),
        (RampArrivals(from_rate=1, to_rate=8), "1 to 8 req/s", None),
        (TraceArrivals(speed=2), "trace at 2× speed", None),
    ],
)
def test_arrivals_have_a_label_for_people_and_a_rate_where_they_have_one(
    arrivals: Arrivals, label: str, offered: float | None
):
    assert arrivals.label == label
    assert arrivals.offered_rps == offered
    assert READER.validate_json(arrivals.model_dump_json()) == arrivals


def test_a_gamma_process_is_poisson_unless_told_otherwise_and_a_trace_runs_at_its_own_speed():
    assert GammaArrivals(rate=1).burstiness == 1
    assert TraceArrivals().speed == 1


@pytest.mark.parametrize(
    "written",
    [
        {"kind": "closed", "concurrency": 0},
        {"kind": "closed", "concurrency": 1.5},
        {"kind": "poisson", "rate": 0},
        {"kind": "poisson", "rate": float("inf")},
        {"kind": "poisson", "rate": "4"},
        {"kind": "poisson"},
        {"kind": "constant", "rate": 1, "burstiness": 2},
        {"kind": "gamma", "rate": 1, "burstiness": 0},
        {"kind": "ramp", "from_rate": 0, "to_rate": 1},
        {"kind": "trace", "speed": 0},
        {"kind": "uniform", "rate": 1},
        {"rate": 1},
    ],
)
def test_impossible_arrivals_are_refused(written: dict[str, Any]):
    with pytest.raises(ValidationError):
        READER.validate_python(written)
