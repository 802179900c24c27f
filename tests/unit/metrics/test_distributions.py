"""Statistics, and the samples they need."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.slo import Percentile
from tuner.metrics.distributions import NEEDED, distribution, quantile


@pytest.mark.parametrize("percentile", list(Percentile))
def test_a_statistic_appears_with_the_last_value_it_needs(percentile: Percentile):
    values = np.arange(1000, dtype=np.float64)
    needed = NEEDED[percentile]
    assert distribution(values[: needed - 1]).statistic(percentile) is None
    assert distribution(values[:needed]).statistic(percentile) is not None


def test_percentiles_interpolate_linearly():
    found = distribution(np.arange(501, dtype=np.float64))
    assert (found.count, found.mean, found.p50, found.p90, found.p95, found.p99) == pytest.approx(
        (501, 250, 250, 450, 475, 495)
    )


def test_values_that_are_not_known_are_left_out():
    found = distribution(np.array([1.0, np.nan, 3.0]))
    assert (found.count, found.mean, found.p50) == (2, 2.0, 2.0)


def test_459_values_are_the_fewest_whose_largest_exceeds_the_true_p99_with_99_percent_confidence():
    assert 0.99 ** NEEDED[Percentile.P99] < 0.01 <= 0.99 ** (NEEDED[Percentile.P99] - 1)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.sampled_from([0.05, 0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_is_numpys(values: list[float], share: float):
    assert quantile(np.array(values), share) == np.quantile(values, share)
