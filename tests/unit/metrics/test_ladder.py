"""The ladder of rates: what comes next, and what it says of capacity."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.study import LoadPlan
from tuner.metrics.ladder import capacity, most_points, next_rate, target_point

MakePoint = Callable[..., LoadPoint]
PLAN = LoadPlan(rates=(0.25, 0.5, 1.0, 1.5, 2.0, 3.0))
TARGET = 4.0
fixture_is_pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def climb(make_point: MakePoint, true_capacity: float, plan: LoadPlan = PLAN) -> list[LoadPoint]:
    points: list[LoadPoint] = []
    while (rate := next_rate(plan, TARGET, points)) is not None:
        points.append(make_point(rate, slo_met=rate <= true_capacity))
        assert len(points) <= len(plan.rates)
    return points


def rates(points: list[LoadPoint]) -> list[float]:
    return [point.arrivals.rate for point in points if point.arrivals.kind == "poisson"]


@pytest.mark.parametrize(
    ("true_capacity", "visited"),
    [
        (100.0, [4, 6, 8, 12]),
        (7.0, [4, 6, 8]),
        (4.0, [4, 6]),
        (3.0, [4, 2]),
        (1.5, [4, 2, 1]),
        (0.1, [4, 2, 1]),
    ],
)
def test_the_target_comes_first_then_up_until_it_breaks_or_down_until_it_holds(
    make_point: MakePoint, true_capacity: float, visited: list[float]
):
    assert rates(climb(make_point, true_capacity)) == visited


@fixture_is_pure
@given(true_capacity=st.floats(0.1, 20))
def test_the_capacity_found_brackets_the_true_one(make_point: MakePoint, true_capacity: float):
    found = capacity(climb(make_point, true_capacity))
    assert found.rps <= true_capacity
    assert found.upper_rps is None or found.upper_rps > true_capacity
    steps = [0.0, *(rate * TARGET for rate in PLAN.rates), None]
    assert (found.rps, found.upper_rps) in list(pairwise(steps))


def test_a_rate_that_rounding_moved_is_still_the_same_rung(make_point: MakePoint):
    plan = LoadPlan(rates=(1.0, 1.1))
    points = [make_point(0.3), make_point(0.3 * 1.1 * (1 + 1e-12))]
    assert next_rate(plan, 0.3, points) is None


def test_closed_loop_points_are_no_rungs(make_point: MakePoint):
    assert next_rate(PLAN, TARGET, [make_point(users=4)]) == TARGET
    assert capacity([make_point(users=4)]) == Capacity(rps=0.0, upper_rps=None)
    assert target_point([make_point(users=4)], TARGET) is None


def test_a_rate_that_held_above_one_that_broke_counts_for_nothing(make_point: MakePoint):
    points = [make_point(4.0), make_point(6.0, slo_met=False), make_point(8.0)]
    assert capacity(points) == Capacity(rps=4.0, upper_rps=6.0)


def test_a_rate_measured_twice_with_two_verdicts_did_not_hold(make_point: MakePoint):
    assert capacity([make_point(4.0), make_point(4.0, slo_met=False)]) == Capacity(rps=0.0, upper_rps=4.0)


def test_the_latest_point_at_the_target_is_the_target_s(make_point: MakePoint):
    points = [make_point(4.0), make_point(6.0), make_point(4.0)]
    assert target_point(points, TARGET) is points[2]


@fixture_is_pure
@given(true_capacity=st.floats(0.1, 20))
def test_no_ladder_is_longer_than_it_says(make_point: MakePoint, true_capacity: float):
    points = climb(make_point, true_capacity)
    assert all(len(points) <= most_points(PLAN, TARGET, points[:seen]) or seen == 0 for seen in range(len(points)))
    assert most_points(PLAN, TARGET, []) == 1 + sum(rate > 1 for rate in PLAN.rates)
