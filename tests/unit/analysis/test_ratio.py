import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.analysis.ratio import UNKNOWN, ratio
from tuner.domain.measurement import Capacity


def capacity(rps: float, lower: float, upper: float | None) -> Capacity:
    return Capacity(rps=rps, lower_rps=lower, upper_rps=upper)


parts = st.floats(0.3, 1.0)


def between(rps: float, low: float, high: float) -> Capacity:
    return capacity(rps, rps * low, rps / high)


bounded = st.builds(between, st.floats(0.1, 100.0), parts, parts)


def test_two_equal_intervals_give_one_that_is_wider_and_holds_one():
    found = ratio(capacity(10, 9, 11), capacity(10, 9, 11))
    assert found.value == 1
    assert not found.is_different
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 9 / 10
    assert found.upper > 11 / 10
    assert found.lower > 9 / 11
    assert found.upper < 11 / 9


def test_intervals_far_apart_are_different():
    assert ratio(capacity(20, 19, 21), capacity(10, 9, 11)).is_different
    assert ratio(capacity(10, 9, 11), capacity(20, 19, 21)).is_different


@given(bounded, bounded)
def test_the_interval_holds_the_estimate_and_turns_over_with_the_ratio(one: Capacity, other: Capacity):
    found, turned = ratio(one, other), ratio(other, one)
    assert found.value
    assert turned.value
    assert found.lower is not None
    assert found.upper is not None
    assert turned.upper is not None
    assert found.lower <= found.value * (1 + 1e-12)
    assert found.value <= found.upper * (1 + 1e-12)
    assert math.isclose(found.value * turned.value, 1)
    assert math.isclose(found.lower * turned.upper, 1)


def test_nine_of_ten_intervals_of_simulated_capacities_hold_the_true_ratio():
    rng = np.random.default_rng(1)
    sigma, truth, trials = (0.08, 0.03), 1.4, 4000
    held = 0
    for _ in range(trials):
        noise = rng.normal(0.0, sigma)
        one, other = truth * math.exp(noise[0]), math.exp(noise[1])
        ends = [math.exp(1.645 * each) for each in sigma]
        found = ratio(capacity(one, one / ends[0], one * ends[0]), capacity(other, other / ends[1], other * ends[1]))
        held += (found.lower or 0) <= truth <= (found.upper or math.inf)
    assert 0.88 <= held / trials <= 0.92


def test_an_open_upper_end_bounds_from_below_on_top_and_from_above_below_the_line():
    open_ended, closed = capacity(12, 11, None), capacity(6, 5, 7)
    above, below = ratio(open_ended, closed), ratio(closed, open_ended)
    assert (above.value, above.upper) == (2, None)
    assert above.lower is not None
    assert above.lower < 2
    assert (below.value, below.lower) == (0.5, None)
    assert ratio(open_ended, open_ended) == UNKNOWN


def test_a_capacity_of_none_bounds_what_its_upper_end_says():
    nothing, closed = capacity(0, 0, 2), capacity(6, 5, 7)
    assert ratio(closed, nothing).value == 3
    assert ratio(closed, nothing).lower == 2.5
    assert ratio(closed, nothing).upper is None
    assert ratio(nothing, closed).upper == pytest.approx(2 / 5)
    assert ratio(nothing, nothing) == UNKNOWN
    assert ratio(nothing, capacity(6, 0, 7)).upper is None


def test_an_unknown_lower_end_below_the_line_leaves_the_upper_end_open():
    found = ratio(capacity(6, 5, 7), capacity(3, 0, 4))
    assert found.upper is None
    assert ratio(capacity(6, 0, 7), capacity(3, 2, 4)).lower == 0
