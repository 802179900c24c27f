"""Pareto dominance, as an algebra."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuner.analysis.dominance import losses, on_front
from tuner.analysis.figures import Direction

LEVELS = st.integers(0, 5).map(float)
POINTS = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(LEVELS, min_size=width, max_size=width), min_size=1, max_size=30)
)


def dominates(one: list[float], other: list[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(POINTS)
def test_a_point_is_on_the_front_exactly_when_no_other_dominates_it(points: list[list[float]]):
    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert on_front(np.array(points)).tolist() == expected


@given(POINTS)
def test_every_dominated_point_is_dominated_by_one_on_the_front(points: list[list[float]]):
    front = on_front(np.array(points))
    best = [point for point, on in zip(points, front, strict=True) if on]
    assert all(any(dominates(one, point) for one in best) for point, on in zip(points, front, strict=True) if not on)


@given(POINTS, st.randoms(use_true_random=False))
def test_the_order_of_points_does_not_matter(points: list[list[float]], random: object):
    order = sorted(range(len(points)), key=lambda index: hash((index, repr(random))))
    shuffled = on_front(np.array([points[index] for index in order]))
    assert [bool(on_front(np.array(points))[index]) for index in order] == shuffled.tolist()


def test_equal_points_stay_on_the_front_together():
    assert on_front(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist() == [True, True, False]


def test_maximised_figures_are_negated_once():
    rows = [[4.0, 0.1], [8.0, 0.2]]
    assert losses(rows, [Direction.MAXIMIZE, Direction.MINIMIZE]).tolist() == [[-4.0, 0.1], [-8.0, 0.2]]
