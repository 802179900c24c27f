"""Histograms: readable bounds, every value counted once."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.cli.histogram import bar, bin_edges, count_within, histogram_lines

SECONDS = st.lists(st.floats(0, 1e4), min_size=1, max_size=50)


def test_values_of_one_magnitude_get_bins_of_equal_width():
    assert bin_edges(0.0203, 0.0291) == [0.020, 0.021, 0.022, 0.023, 0.024, 0.025, 0.026, 0.027, 0.028, 0.029, 0.030]


def test_a_long_tail_gets_bins_that_grow():
    assert bin_edges(0.018, 3.4) == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]


def test_values_that_are_all_the_same_get_one_bin():
    edges = bin_edges(0.02, 0.02)
    assert len(edges) == 2
    assert edges[0] <= 0.02 < edges[1]


def test_every_line_names_its_bounds_and_its_count():
    lines = histogram_lines("TTFT", [0.0201] * 8 + [0.0235] * 2 + [0.0289], width=8)
    assert lines[0] == "TTFT"
    assert lines[1] == "  20.0 ms – 21.0 ms  8 ████████"
    assert lines[2] == "  21.0 ms – 22.0 ms  0"
    assert lines[4] == "  23.0 ms – 24.0 ms  2 ██"
    assert lines[-1] == "  28.0 ms – 29.0 ms  1 █"


def test_nothing_measured_draws_nothing():
    assert histogram_lines("TTFT", []) == []
    assert histogram_lines("TTFT", [math.nan]) == []


def test_a_bar_shows_the_smallest_share():
    assert (bar(0.0, 40), bar(1e-6, 40), bar(0.5, 3), bar(1.0, 3)) == ("", "▏", "█▌", "███")


@given(SECONDS)
def test_every_value_is_counted_once_within_its_bounds(seconds: list[float]):
    ascending = sorted(seconds)
    edges = bin_edges(ascending[0], ascending[-1])
    counts = count_within(ascending, edges)
    assert edges == sorted(set(edges))
    assert len(counts) == len(edges) - 1 <= 14
    assert sum(counts) == len(seconds)
    assert edges[0] <= ascending[0] <= ascending[-1] < edges[-1]
    assert counts[0] > 0
    assert counts[-1] > 0


@pytest.mark.parametrize("zero", [0.0, 1e-9])
def test_a_latency_of_nothing_has_a_bin_from_zero_on(zero: float):
    edges = bin_edges(zero, 0.5)
    assert edges[0] == 0.0
    assert count_within([zero, 0.5], edges)[0] == 1
