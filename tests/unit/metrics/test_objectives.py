"""What a sampler is told."""

from collections.abc import Callable

import pytest

from tuner.domain.measurement import Capacity, Distribution, LoadPoint
from tuner.domain.slo import parse_slo
from tuner.metrics.objectives import constraint_values, objective_values

MakePoint = Callable[..., LoadPoint]
CAPACITY = Capacity(rps=6.0, upper_rps=8.0)
TTFT = Distribution(count=100, mean=0.2, p50=0.2, p90=0.4, p95=0.5)


def test_values_are_the_capacity_and_latencies_at_the_target(make_point: MakePoint):
    values = objective_values(("capacity_rps", "ttft_p95"), make_point(4.0, ttft=TTFT), CAPACITY)
    assert values == {"capacity_rps": 6.0, "ttft_p95": 0.5}


def test_one_objective_without_a_figure_leaves_none(make_point: MakePoint):
    assert objective_values(("capacity_rps", "ttft_p99"), make_point(4.0, ttft=TTFT), CAPACITY) is None


def test_an_unknown_objective_is_refused(make_point: MakePoint):
    with pytest.raises(ValueError, match="no latency percentile"):
        objective_values(("speed",), make_point(4.0), CAPACITY)


def test_a_constraint_is_the_relative_excess_over_its_limit(make_point: MakePoint):
    slos = [parse_slo("ttft_p95=400ms"), parse_slo("ttft_p50=400ms"), parse_slo("ttft_p99=1s")]
    point = make_point(4.0, ttft=TTFT, failure_rate=0.03, queue_growing=True)
    assert constraint_values(slos, point) == pytest.approx(
        {"ttft_p95": 0.25, "ttft_p50": -0.5, "ttft_p99": 1.0, "failure_rate": 0.02, "queue": 1.0}
    )


def test_a_feasible_point_violates_nothing(make_point: MakePoint):
    found = constraint_values([parse_slo("ttft_p95=500ms")], make_point(4.0, ttft=TTFT))
    assert max(found.values()) <= 0
