"""The long-run variance of dependent series, on processes whose variance is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tuner.metrics.correlation import long_run


def autoregressive(dependence: float, count: int, seed: int) -> NDArray[np.float64]:
    """Variance 1 / (1 - dependence²), long-run variance 1 / (1 - dependence)²."""
    shocks = np.random.default_rng(seed).normal(size=count)
    values = np.empty(count)
    last = 0.0
    for number, shock in enumerate(shocks.tolist()):
        last = dependence * last + shock
        values[number] = last
    return values


@pytest.mark.parametrize("dependence", [0.0, 0.5, 0.9])
def test_the_long_run_variance_of_an_autoregressive_process_is_found(dependence: float):
    found = [long_run([autoregressive(dependence, 4000, seed)]).variance for seed in range(60)]
    assert np.mean(found) * (1 - dependence) ** 2 == pytest.approx(1.0, abs=0.12)


def test_several_series_are_pooled_each_around_its_own_mean():
    apart = [autoregressive(0.5, 2000, seed) + 100 * seed for seed in range(4)]
    together = long_run(apart)
    assert together.variance == pytest.approx(4.0, rel=0.5)
    assert together.freedom > 0


def test_a_short_series_beside_long_ones_adds_nothing():
    long = [autoregressive(0.5, 3000, seed) for seed in range(3)]
    assert long_run([*long, np.full(20, 1e6)]).variance == pytest.approx(long_run(long).variance, rel=0.2)


def test_nothing_and_constants_have_no_variance():
    assert long_run([]).freedom == 0
    assert long_run([np.empty(0)]).variance == 0
    assert long_run([np.ones(500)]).variance == pytest.approx(0.0, abs=1e-12)
