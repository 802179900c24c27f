"""Quantiles, tails, and the range of several figures, against published tables."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.analysis.normal import any_of, apart, mass


@pytest.mark.parametrize(
    ("count", "confidence", "tabulated"),
    [(2, 0.95, 2.772), (3, 0.95, 3.314), (5, 0.95, 3.858), (10, 0.95, 4.474), (10, 0.99, 5.157), (60, 0.95, 5.764)],
)
def test_the_range_is_that_of_published_tables(count: int, confidence: float, tabulated: float):
    assert apart(count, confidence) * math.sqrt(2) == pytest.approx(tabulated, abs=2e-3)


def test_two_figures_are_compared_by_the_ordinary_quantile_and_one_by_none():
    assert apart(2, 0.95) == pytest.approx(1.96, abs=1e-3)
    assert apart(1, 0.95) == 0.0


def test_of_equal_figures_no_two_differ_by_more_but_with_the_error_asked_for():
    draws = np.random.default_rng(0).normal(size=(20_000, 7))
    assert (np.ptp(draws, axis=1) > apart(7, 0.95) * math.sqrt(2)).mean() == pytest.approx(0.05, abs=0.005)


def test_all_of_several_figures_lie_within_the_bound_with_its_confidence():
    draws = np.random.default_rng(0).normal(size=(20_000, 5))
    assert (abs(draws).max(axis=1) < any_of(5, 0.9)).mean() == pytest.approx(0.9, abs=0.007)


@given(st.floats(-4, 4), st.floats(0, 4))
def test_masses_are_differences_of_the_distribution(low: float, width: float):
    normal = NormalDist()
    assert mass(low, low + width) == pytest.approx(normal.cdf(low + width) - normal.cdf(low), abs=1e-12)


def test_masses_far_out_keep_their_digits_on_either_side():
    assert mass(9, 10) == pytest.approx(mass(-10, -9), rel=1e-12)
    assert mass(9, 10) == pytest.approx(1.1286e-19, rel=1e-3)
