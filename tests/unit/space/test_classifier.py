"""The classifier on points whose truth is known."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuner.space.classifier import Points, fit

LIMIT = 0.6


def some(count: int, seed: int = 0) -> Points:
    return np.random.default_rng(seed).uniform(0, 1, (count, 3))


def above(points: Points) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return points.mean(axis=1) > LIMIT


def test_a_plane_is_learned_from_a_few_points():
    seen, others = some(30), some(2000, seed=1)
    clear = np.abs(others.mean(axis=1) - LIMIT) > 0.1
    said = fit(seen, above(seen)).probability(others[clear]) > 0.5
    assert (said == above(others[clear])).mean() > 0.97


def test_far_from_everything_it_is_unsure_and_near_what_it_saw_it_is_not():
    seen = np.array([[0.1, 0.1, 0.1], [0.2, 0.2, 0.2], [0.9, 0.9, 0.9]])
    model = fit(seen, np.array([False, False, True]))
    ran, unknown, failed = model.probability(np.array([[0.1, 0.1, 0.1], [0.9, 0.1, 0.5], [0.9, 0.9, 0.9]]))
    assert ran < 0.3 < unknown < 0.6 < failed


def test_a_corner_is_learned_too():
    seen, others = some(80), some(2000, seed=1)

    def corner(points: Points) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        return np.asarray((points[:, :2] > 0.5).all(axis=1))

    said = fit(seen, corner(seen)).probability(others) > 0.5
    assert (said == corner(others)).mean() > 0.9


@given(st.lists(st.tuples(*[st.floats(-0.5, 1.5)] * 3, st.booleans()), min_size=1, max_size=12))
def test_probabilities_are_probabilities_whatever_was_seen(rows: list[tuple[float, float, float, bool]]):
    seen = np.array([row[:3] for row in rows])
    model = fit(seen, np.array([row[3] for row in rows]))
    said = model.probability(some(20))
    assert np.isfinite(said).all()
    assert ((said >= 0) & (said <= 1)).all()
    assert np.isfinite(model.log_odds(some(20))).all()


def test_the_log_odds_and_the_probability_agree_on_which_side_a_point_is():
    seen = some(40)
    model, others = fit(seen, above(seen)), some(200, seed=2)
    assert ((model.log_odds(others) > 0) == (model.probability(others) > 0.5)).all()


def test_the_same_point_seen_on_both_sides_does_not_break_it():
    twice = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]])
    said = fit(twice, np.array([True, False])).probability(twice)
    assert 0.1 < said[0] < 0.9
