"""What load points say of capacity when only their summaries are left."""

from collections.abc import Callable

import numpy as np
import pytest

from tuner.domain.measurement import Distribution, LoadPoint
from tuner.domain.slo import parse_slo
from tuner.domain.study import LoadPlan
from tuner.metrics.capacity import capacity, capacity_of_points, format_seconds, target_point
from tuner.metrics.evidence import Criterion, Measured

MakePoint = Callable[..., LoadPoint]
SLOS = (parse_slo("ttft_p95=400ms"),)


def ttft(p95: float) -> Distribution:
    return Distribution(count=100, p95=p95)


def test_the_estimate_lies_where_a_straight_line_in_logarithms_meets_the_limit(make_point: MakePoint):
    points = [make_point(4.0, ttft=ttft(0.2)), make_point(16.0, ttft=ttft(0.8), slo_met=False)]
    found = capacity_of_points(points, SLOS)
    assert (found.lower_rps, found.upper_rps, found.limited_by) == (4.0, 16.0, "ttft_p95")
    assert found.rps == pytest.approx(8.0)


def test_a_given_up_point_bounds_and_is_not_interpolated(make_point: MakePoint):
    points = [make_point(4.0, ttft=ttft(0.2)), make_point(16.0, ttft=ttft(0.8), slo_met=False, given_up="hopeless")]
    assert capacity_of_points(points, SLOS).rps == 4.0


def test_a_rate_that_held_above_one_that_broke_counts_for_nothing(make_point: MakePoint):
    points = [make_point(2.0), make_point(4.0, slo_met=False), make_point(8.0)]
    found = capacity_of_points(points, SLOS)
    assert (found.lower_rps, found.upper_rps) == (2.0, 4.0)


def test_without_a_broken_point_the_upper_end_is_open_and_without_a_held_one_there_is_none(make_point: MakePoint):
    assert capacity_of_points([make_point(2.0), make_point(3.0)], SLOS).upper_rps is None
    assert capacity_of_points([make_point(2.0), make_point(3.0)], SLOS).rps == 3.0
    assert capacity_of_points([make_point(2.0, slo_met=False)], SLOS).rps == 0.0
    assert capacity_of_points([make_point(users=4)], SLOS).rps == 0.0


def test_an_invalid_point_says_nothing(make_point: MakePoint):
    points = [make_point(2.0), make_point(4.0, slo_met=False, invalid=("the client used 99 % of a core",))]
    assert capacity_of_points(points, SLOS).upper_rps is None


def measured(rate: float, above: int, requests: int = 50, *, given_up: bool = False) -> Measured:
    """An open-loop point, so many of whose requests exceeded the limit."""
    values = np.zeros(requests)
    values[:above] = 1.0
    share = Criterion("ttft_p95", 0.05, values, np.ones(requests), used=0.4 if not above else 2.0, at_least=given_up)
    return Measured(
        rate, rate, requests, requests / rate, (share,), np.ones(requests), growing=False, given_up=given_up
    )


def test_few_requests_give_an_interval_no_wider_than_rates_that_plainly_held_or_broke():
    plan = LoadPlan(highest=6.0, time_budget=24.0)
    points = [measured(6, 0), measured(12, 0), measured(22, 1), measured(26, 9, given_up=True), measured(40, 25)]
    found = capacity(plan, SLOS, 6.0, points)
    assert found.lower_rps >= 12.0
    assert 20 < found.rps < 30
    assert found.upper_rps is not None
    assert found.upper_rps <= 40.0
    assert found.limited_by == "ttft_p95"
    assert found.note.startswith("time budget of 24 s: ±")


def test_the_point_at_the_target_is_the_latest_one_there(make_point: MakePoint):
    points = [make_point(2.0), make_point(4.0), make_point(2.0), make_point(users=2)]
    assert target_point(points, 2.0) is points[2]
    assert target_point(points, 3.0) is None


@pytest.mark.parametrize(("seconds", "text"), [(60, "60 s"), (540, "9 minutes"), (9000, "2.5 hours")])
def test_durations_are_rounded_for_people(seconds: float, text: str):
    assert format_seconds(seconds) == text
