"""Figures of a trial by name."""

import pytest

from tests.fakes.builders import make_point
from tuner.analysis.figures import Direction, direction, figure
from tuner.domain.measurement import Capacity


@pytest.mark.parametrize("name", ["capacity_rps", "goodput_rps", "output_tokens_per_s", "achieved_rps"])
def test_throughputs_are_better_when_higher(name: str):
    assert direction(name) is Direction.MAXIMIZE


@pytest.mark.parametrize("name", ["ttft_p95", "tpot_mean", "e2e_p50", "users_mean"])
def test_latencies_and_users_are_better_when_lower(name: str):
    assert direction(name) is Direction.MINIMIZE


def test_a_figure_that_does_not_exist_is_refused_by_name():
    with pytest.raises(ValueError, match="speed"):
        direction("speed")


def test_latencies_are_read_at_the_target_and_capacity_is_the_trial_s():
    point = make_point(ttft=0.3, tpot=0.02)
    assert figure("ttft_p95", None, point) == 0.3
    assert figure("tpot_p95", None, point) == 0.02
    assert figure("capacity_rps", Capacity(rps=4, upper_rps=None), None) == 4
    assert figure("goodput_rps", None, point) == 2.0


def test_what_was_not_measured_has_no_figure():
    assert figure("capacity_rps", None, make_point()) is None
    assert figure("ttft_p95", None, None) is None
    assert figure("ttft_p99", None, make_point()) is None
