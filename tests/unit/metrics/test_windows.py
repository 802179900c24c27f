"""The steady window."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.domain.load import Outcome, RequestRecord
from tuner.metrics.windows import Window, steady_window

OPEN = PoissonArrivals(rate=1.0)


def record(start: float, took: float, outcome: Outcome = Outcome.OK) -> RequestRecord:
    return RequestRecord(start, start, (start + took,), start + took, outcome, 1, 1, 1)


def test_an_open_loop_leaves_out_what_its_earliest_requests_took_to_fill_the_server():
    window = steady_window([record(float(second), 5.0) for second in range(100)], OPEN)
    assert window == Window(6.0, 99.0)


def test_at_least_three_quarters_of_the_arrivals_time_are_left():
    window = steady_window([record(float(second), 500.0) for second in range(13)], OPEN)
    assert window == Window(3.0, 12.0)


def test_a_closed_loop_counts_from_when_all_users_run_to_the_last_sending():
    records = [record(0.1 * number, 1.0) for number in range(20)]
    assert steady_window(records, ClosedLoop(concurrency=4)) == Window(0.1 * 3, 0.1 * 19)


def test_without_requests_the_window_is_empty():
    assert steady_window([], OPEN) == Window(0.0, 0.0)
    assert steady_window([record(math.nan, 1.0)], OPEN) == Window(0.0, 0.0)


def test_a_start_that_never_came_lies_in_no_window():
    assert Window(0.0, 9.0).holds(np.array([math.nan, 0.0, 9.0, 9.1])).tolist() == [False, True, True, False]


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e3)), min_size=1, max_size=60))
def test_the_window_lies_within_the_arrivals(pairs: list[tuple[float, float]]):
    records = [record(start, took) for start, took in pairs]
    window = steady_window(records, OPEN)
    assert min(start for start, _ in pairs) <= window.start <= window.end == max(start for start, _ in pairs)
