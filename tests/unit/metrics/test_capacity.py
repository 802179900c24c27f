"""What load points say of capacity when only their summaries are left."""

from collections.abc import Callable

import pytest

from tuner.domain.measurement import Distribution, LoadPoint
from tuner.domain.slo import parse_slo
from tuner.metrics.capacity import capacity_of_points, format_seconds, target_point

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


def test_the_point_at_the_target_is_the_latest_one_there(make_point: MakePoint):
    points = [make_point(2.0), make_point(4.0), make_point(2.0), make_point(users=2)]
    assert target_point(points, 2.0) is points[2]
    assert target_point(points, 3.0) is None


@pytest.mark.parametrize(("seconds", "text"), [(60, "60 s"), (540, "9 minutes"), (9000, "2.5 hours")])
def test_durations_are_rounded_for_people(seconds: float, text: str):
    assert format_seconds(seconds) == text
