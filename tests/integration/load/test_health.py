"""The client's view of itself, on a real event loop."""

import asyncio
import gc
import time

import numpy as np

from tuner.domain.load import Outcome, RequestRecord
from tuner.load.health import Monitor, lateness, undisturbed


def record(*times: float, scheduled: float = 0.0, sent: float = 0.0) -> RequestRecord:
    return RequestRecord(scheduled, sent, times, 1.0, Outcome.OK, 1, len(times), len(times))


async def test_a_loop_that_is_held_up_shows_it():
    monitor = Monitor(time.monotonic, np.random.default_rng(1), lambda _lag: None)
    await asyncio.sleep(0.05)
    time.sleep(0.1)  # noqa: ASYNC251  # the point: nothing else gets a turn
    await asyncio.sleep(0.05)
    health = monitor.stop((), 0.2)
    assert 0.08 < health.loop_lag_max < 1.0
    assert 0 < health.loop_lag_mean < health.loop_lag_max
    assert health.cpu_s > 0
    assert health.cpu_share == health.cpu_s / 0.2


async def test_events_that_share_a_time_came_in_one_read():
    monitor = Monitor(time.monotonic, np.random.default_rng(1), lambda _lag: None)
    health = monitor.stop([record(1.0, 1.0, 2.0), record(1.0, 3.0)], 4.0)
    assert (health.reads, health.events) == (4, 5)
    assert health.events_per_read == 1.25


async def test_each_lag_is_told_as_it_is_measured():
    told: list[float] = []
    monitor = Monitor(time.monotonic, np.random.default_rng(1), told.append)
    await asyncio.sleep(0.1)
    health = monitor.stop((), 0.1)
    assert len(told) >= 2
    assert health.loop_lag_max == max(told)


def test_lateness_leaves_out_what_was_never_sent():
    late = lateness([record(scheduled=1.0, sent=1.5), record(scheduled=2.0, sent=float("nan"))])
    assert late.tolist() == [0.5]


def test_the_garbage_collector_is_back_afterwards():
    with undisturbed():
        assert not gc.isenabled()
    assert gc.isenabled()
