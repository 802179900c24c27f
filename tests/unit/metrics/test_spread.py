"""Intervals of percentiles: they hold the truth as often as they say, also where requests depend on one another."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tuner.domain.slo import Percentile
from tuner.metrics.spread import statistic_interval


def queueing(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Waits of a single server at 70 % load, by Lindley's recursion: what a queue does to TTFT."""
    steps = rng.exponential(0.7, count) - rng.exponential(1.0, count)
    walk = np.cumsum(steps)
    return walk - np.minimum.accumulate(np.minimum(walk, 0.0))


def coverage(series: list[NDArray[np.float64]], percentile: Percentile, truth: float) -> float:
    intervals = [statistic_interval(one, percentile) for one in series]
    return float(np.mean([found is not None and found[0] <= truth <= found[1] for found in intervals]))


@pytest.mark.parametrize(("percentile", "truth"), [(Percentile.P50, np.log(2)), (Percentile.P95, np.log(20))])
def test_nine_in_ten_intervals_of_independent_requests_hold_the_truth(percentile: Percentile, truth: float):
    rng = np.random.default_rng(7)
    assert coverage([rng.exponential(1.0, 500) for _ in range(400)], percentile, truth) == pytest.approx(0.9, abs=0.05)


def test_requests_that_share_a_queue_widen_the_interval():
    rng = np.random.default_rng(11)
    truth = float(np.quantile(queueing(rng, 400_000), 0.95))
    series = [queueing(rng, 3000)[500:] for _ in range(200)]
    shuffled = [rng.permutation(one) for one in series]
    assert coverage(series, Percentile.P95, truth) > 0.75
    assert coverage(shuffled, Percentile.P95, truth) < coverage(series, Percentile.P95, truth)


def test_the_interval_holds_the_percentile_itself():
    values = np.random.default_rng(3).exponential(1.0, 100)
    found = statistic_interval(values, Percentile.P90)
    assert found is not None
    assert found[0] <= np.quantile(values, 0.9) <= found[1]


def test_a_mean_has_one_too():
    found = statistic_interval(np.array([1.0, 2.0, 3.0, np.nan]), Percentile.MEAN)
    assert found is not None
    assert sum(found) / 2 == pytest.approx(2.0)


def test_a_sample_that_supports_no_percentile_has_no_interval():
    assert statistic_interval(np.ones(19), Percentile.P95) is None
    assert statistic_interval(np.empty(0), Percentile.MEAN) is None
