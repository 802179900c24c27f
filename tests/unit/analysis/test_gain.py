"""Intervals that hold although the winner was picked for being good."""

import math

import numpy as np
import pytest

from tuner.analysis.gain import conditional, expected, gain
from tuner.analysis.ties import Standings, choice


def make_standings(*log: float, deviation: float = 0.03, **changes: list[bool]) -> Standings:
    size = len(log)
    return Standings(
        log=np.array(log),
        variance=np.full(size, deviation**2),
        is_open=np.array(changes.get("is_open", [False] * size)),
        held=np.array(changes.get("held", [True] * size)),
        share=np.zeros(size),
        share_variance=np.ones(size),
        changed=np.array([min(place, 1) for place in range(size)]),
        number=np.arange(size),
        needed=100.0,
    )


def test_far_ahead_the_gain_is_the_plain_ratio_with_the_plain_interval():
    found = gain(make_standings(0.0, 1.0), 1, 0)
    reach = 1.645 * 0.03 * math.sqrt(2)
    assert found.ratio == pytest.approx(math.exp(1.0), rel=1e-3)
    assert found.lower == pytest.approx(math.exp(1 - reach), rel=2e-2)
    assert found.upper == pytest.approx(math.exp(1 + reach), rel=2e-2)


def test_barely_ahead_the_gain_is_less_than_the_plain_ratio():
    found = gain(make_standings(0.0, 0.05), 1, 0)
    assert found.ratio is not None
    assert found.ratio < math.exp(0.05)
    assert found.lower is not None
    assert found.lower < 1.0


def test_the_more_were_tried_and_the_closer_they_came_the_less_the_winner_keeps():
    alone, crowded = make_standings(0.0, 0.2), make_standings(0.0, 0.2, *[0.19] * 8)
    kept = [expected(found, 1) for found in (alone, crowded)]
    assert kept[0] is not None
    assert kept[1] is not None
    assert kept[1].rps < kept[0].rps < math.exp(0.2) * 1.001


@pytest.mark.parametrize(("size", "spread"), [(2, 0.0), (5, 0.0), (5, 0.05)])
def test_intervals_hold_the_truth_in_nine_of_ten_cases_whatever_won(size: int, spread: float):
    draw = np.random.default_rng(size)
    held: list[bool] = []
    above: list[bool] = []
    while len(held) < 250:
        truth = draw.normal(0, spread, size)
        found = make_standings(*(truth + draw.normal(0, 0.03, size)))
        named = choice(found)
        if named:
            interval = conditional(found, named, {named: 1.0, 0: -1.0})
            held.append(interval.lower <= truth[named] - truth[0] <= interval.upper)
            above.append(bool(interval.estimate > truth[named] - truth[0]))
    assert 0.86 < np.mean(held) < 0.95
    assert 0.42 < np.mean(above) < 0.58


def test_the_defaults_gain_nothing_over_themselves():
    found = gain(make_standings(0.1, 0.0), 0, 0)
    assert (found.ratio, found.lower, found.upper) == (1.0, 1.0, 1.0)


def test_defaults_that_hold_no_rate_give_a_lower_bound_and_the_reason():
    found = gain(make_standings(0.0, 1.0, held=[False, True]), 1, 0)
    assert (found.ratio, found.upper) == (None, None)
    assert found.lower is not None
    assert 2.2 < found.lower < math.e
    assert "hold no measured rate" in found.note


def test_open_ends_bound_the_gain_from_one_side():
    mine = gain(make_standings(0.0, 1.0, is_open=[False, True]), 1, 0)
    assert (mine.ratio, mine.upper) == (None, None)
    assert mine.lower is not None
    theirs = gain(make_standings(0.0, 1.0, is_open=[True, False]), 1, 0)
    assert (theirs.ratio, theirs.lower) == (None, None)
    assert theirs.upper is not None
    both = gain(make_standings(0.0, 1.0, is_open=[True, True]), 1, 0)
    assert (both.ratio, both.lower, both.upper) == (None, None, None)
    assert expected(make_standings(0.0, 1.0, is_open=[False, True]), 1) is None


def test_figures_without_noise_have_no_interval():
    interval = conditional(make_standings(0.0, 0.3, deviation=0.0), 1, {1: 1.0, 0: -1.0})
    assert (interval.lower, interval.estimate, interval.upper) == (0.3, 0.3, 0.3)
