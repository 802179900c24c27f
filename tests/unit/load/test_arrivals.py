"""The schedule of a load point."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.load.arrivals import schedule

SEEDS = st.integers(min_value=-(2**63), max_value=2**63 - 1)


def poisson(rate: float, requests: int, seed: int):
    offsets = schedule(PoissonArrivals(rate=rate), requests, seed)
    assert offsets is not None
    return offsets


@given(rate=st.floats(0.01, 1e4), requests=st.integers(1, 200), seed=SEEDS)
def test_every_request_has_a_start_and_starts_ascend(rate: float, requests: int, seed: int):
    offsets = poisson(rate, requests, seed)
    assert offsets.shape == (requests,)
    assert offsets[0] >= 0
    assert (np.diff(offsets) >= 0).all()


@given(seed=SEEDS)
def test_a_seed_gives_the_same_schedule_and_another_seed_another(seed: int):
    assert (poisson(5, 20, seed) == poisson(5, 20, seed)).all()
    assert (poisson(5, 20, seed) != poisson(5, 20, seed ^ 1)).any()


def test_gaps_are_exponential_with_the_rate_s_mean():
    gaps = np.diff(poisson(8, 200_000, 3))
    assert abs(gaps.mean() - 1 / 8) < 0.001
    assert abs(gaps.std() / gaps.mean() - 1) < 0.01
    assert abs((gaps > 1 / 8).mean() - np.exp(-1)) < 0.01


def test_the_length_is_not_rescaled_so_it_varies_as_a_poisson_process_does():
    lengths = np.array([poisson(10, 100, seed)[-1] for seed in range(400)])
    assert abs(lengths.mean() - 10) < 0.2
    assert abs(lengths.std() - 1) < 0.15


def test_a_closed_loop_has_no_schedule():
    assert schedule(ClosedLoop(concurrency=3), 10, 0) is None
