import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tuner.analysis.dominance import losses
from tuner.analysis.figures import Direction
from tuner.analysis.hypervolume import hypervolume, reference_point

REFERENCE = {2: np.ones(2), 3: np.ones(3)}


def clouds(dimensions: int, most: int = 8) -> st.SearchStrategy[NDArray[np.float64]]:
    row = st.tuples(*[st.integers(0, 10)] * dimensions)
    return st.lists(row, max_size=most).map(lambda rows: np.array(rows, dtype=np.float64).reshape(-1, dimensions) / 10)


@given(st.integers(2, 3).flatmap(clouds))
@settings(max_examples=50)
def test_it_is_the_share_of_a_grid_that_the_points_dominate(points: NDArray[np.float64]):
    dimensions = points.shape[1]
    axis = (np.arange(10) + 0.5) / 10  # all coordinates are tenths: each cell is dominated whole or not at all
    cells = np.stack(np.meshgrid(*[axis] * dimensions), axis=-1).reshape(-1, dimensions)
    dominated = (points[:, None, :] <= cells[None]).all(axis=2).any(axis=0)
    assert hypervolume(points, REFERENCE[dimensions]) == pytest.approx(dominated.mean())


@given(clouds(3), clouds(3))
def test_another_point_never_takes_anything_away(points: NDArray[np.float64], others: NDArray[np.float64]):
    both = hypervolume(np.concatenate([points, others]), REFERENCE[3])
    assert both >= max(hypervolume(points, REFERENCE[3]), hypervolume(others, REFERENCE[3])) - 1e-12


def test_a_front_of_two_by_hand():
    points = losses([[10.0, 0.2], [6.0, 0.1]], [Direction.MAXIMIZE, Direction.MINIMIZE])
    bound = losses([[0.0, 0.5]], [Direction.MAXIMIZE, Direction.MINIMIZE])[0]
    assert hypervolume(points, bound) == pytest.approx(10 * 0.3 + 6 * 0.1)


def test_what_breaks_the_reference_counts_for_nothing():
    points = losses([[10.0, 0.6]], [Direction.MAXIMIZE, Direction.MINIMIZE])
    assert hypervolume(points, losses([[0.0, 0.5]], [Direction.MAXIMIZE, Direction.MINIMIZE])[0]) == 0
    assert hypervolume(np.empty((0, 2)), np.ones(2)) == 0


def test_the_reference_is_zero_a_limit_or_a_tenth_above_the_worst():
    directions = [Direction.MAXIMIZE, Direction.MINIMIZE, Direction.MINIMIZE]
    points = losses([[10.0, 0.2, 0.02], [6.0, 0.1, 0.03]], directions)
    found = reference_point(["capacity_rps", "ttft_p95", "tpot_p95"], directions, {"ttft_p95": 0.5}, points)
    assert found == pytest.approx({"capacity_rps": 0.0, "ttft_p95": 0.5, "tpot_p95": 0.033})
