import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.telemetry.scraper import until_next


@pytest.mark.parametrize(("elapsed", "wait"), [(0.0, 1.0), (0.25, 0.75), (1.0, 1.0), (7.5, 0.5)])
def test_the_wait_ends_at_a_full_interval(elapsed: float, wait: float):
    assert until_next(elapsed, 1.0) == wait


@given(st.floats(min_value=0, max_value=1e5), st.floats(min_value=0.01, max_value=60))
def test_a_slow_scrape_does_not_shift_the_rhythm(elapsed: float, interval: float):
    wait = until_next(elapsed, interval)
    intervals = (elapsed + wait) / interval
    assert 0 <= wait <= interval
    assert intervals == pytest.approx(round(intervals), abs=1e-6)
