"""Giving up: only what no further request can save."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.slo import parse_slo
from tuner.metrics.give_up import certainly_broken, give_up

quantiles = st.sampled_from([0.5, 0.9, 0.95, 0.99])


@given(quantiles, st.integers(1, 2000))
def test_so_many_above_the_limit_put_the_percentile_above_it_and_one_fewer_need_not(quantile: float, requests: int):
    needed = certainly_broken(quantile, requests)
    barely = np.zeros(requests)
    barely[:needed] = 1.0
    assert np.quantile(barely, quantile) > 0.999_999  # whatever lies below the limit, here all at 0
    barely[needed - 1] = 0.0
    assert np.quantile(barely, quantile) < 1.0


def test_the_p95_of_a_hundred_is_broken_by_six():
    (rule,) = give_up([parse_slo("ttft_p95=500ms")], 100)
    assert (rule.requests, rule.limit) == (6, 0.5)


def test_a_margin_asks_for_more_but_never_for_more_than_there_are():
    assert give_up([parse_slo("ttft_p95=500ms")], 100, margin=4)[0].requests == 24
    assert give_up([parse_slo("ttft_p50=500ms")], 100, margin=4)[0].requests == 100


@pytest.mark.parametrize("slo", ["ttft_mean=1s", "itl_p95=50ms"])
def test_means_and_gaps_are_never_given_up(slo: str):
    assert give_up([parse_slo(slo)], 100) == ()
