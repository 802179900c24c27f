import asyncio
import contextlib
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.telemetry.rhythm import at_intervals, until_next


@pytest.mark.parametrize(("elapsed", "wait"), [(0.0, 1.0), (0.25, 0.75), (1.0, 1.0), (7.5, 0.5)])
def test_the_wait_ends_at_a_full_interval(elapsed: float, wait: float):
    assert until_next(elapsed, 1.0) == wait


@given(st.floats(min_value=0, max_value=1e5), st.floats(min_value=0.01, max_value=60))
def test_a_slow_reading_does_not_shift_the_rhythm(elapsed: float, interval: float):
    wait = until_next(elapsed, interval)
    intervals = (elapsed + wait) / interval
    assert 0 <= wait <= interval
    assert intervals == pytest.approx(round(intervals), abs=1e-6)


async def test_a_reading_that_raises_ends_the_readings_is_logged_and_leaves_the_block_alone(
    caplog: pytest.LogCaptureFixture,
):
    tried = asyncio.Event()

    async def read() -> None:
        tried.set()
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        async with at_intervals(read, interval=0.001, clock=asyncio.get_running_loop().time):
            await tried.wait()
    assert [record.message for record in caplog.records] == ["readings stopped early"]


async def test_a_reading_that_swallows_the_end_ends_all_the_same():
    begun = asyncio.Event()

    async def read() -> None:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):  # as wait_for does when the result comes at that moment
            await asyncio.sleep(60)

    async with asyncio.timeout(10), at_intervals(read, interval=0.001, clock=asyncio.get_running_loop().time):
        await begun.wait()
