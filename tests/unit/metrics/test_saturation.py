"""Saturation, told on simulated queues with Poisson arrivals."""

import heapq
import math

import numpy as np
import pytest

from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.domain.load import Outcome, RequestRecord
from tuner.metrics.saturation import in_flight, queue_growing

ANY_RATE = PoissonArrivals(rate=1)
SEEDS = range(200)


def queue(servers: int, utilisation: float, requests: int, seed: int, *, fixed: bool) -> list[RequestRecord]:
    """Simulate M/D/c or M/M/c with a mean service of one second, starting empty."""
    draw = np.random.default_rng(seed)
    starts = np.cumsum(draw.exponential(1 / (utilisation * servers), requests))
    services = np.ones(requests) if fixed else draw.exponential(1, requests)
    free, records = [0.0] * servers, list[RequestRecord]()
    for start, service in zip(starts.tolist(), services.tolist(), strict=True):
        begun = max(start, heapq.heappop(free))
        heapq.heappush(free, begun + service)
        times = (begun + service / 10, begun + service)
        records.append(RequestRecord(start, start, times, times[1], Outcome.OK, 1, 2, 2))
    return records


def share_called_growing(servers: int, utilisation: float, requests: int, *, fixed: bool) -> float:
    found = [queue_growing(queue(servers, utilisation, requests, seed, fixed=fixed), ANY_RATE) for seed in SEEDS]
    return float(np.mean(found))


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize(("servers", "requests"), [(1, 100), (8, 100), (16, 200), (32, 400)])
def test_a_stable_queue_at_70_percent_is_seldom_called_growing(servers: int, requests: int, *, fixed: bool):
    assert share_called_growing(servers, 0.7, requests, fixed=fixed) <= 0.05


@pytest.mark.parametrize(
    ("servers", "requests", "fixed"), [(1, 100, True), (8, 100, True), (32, 200, True), (8, 300, False)]
)
def test_an_overload_of_130_percent_is_found(servers: int, requests: int, *, fixed: bool):
    assert share_called_growing(servers, 1.3, requests, fixed=fixed) >= 0.95


def test_a_server_that_admits_everything_and_slows_down_is_found_by_requests_in_flight():
    """Processor sharing without a queue in front: TTFT stays the same, answers take longer and longer."""
    found = [queue_growing(_slowing(seed), ANY_RATE) for seed in range(50)]
    assert np.mean(found) >= 0.95


def _slowing(seed: int) -> list[RequestRecord]:
    starts = np.cumsum(np.random.default_rng(seed).exponential(0.1, 300))
    return [
        RequestRecord(start, start, (start + 0.05, start + 1 + start / 3), start + 1 + start / 3, Outcome.OK, 1, 2, 2)
        for start in starts.tolist()
    ]


def test_requests_that_never_ended_count_as_in_flight():
    records = [
        RequestRecord(number * 0.1, number * 0.1, (), 60.0, Outcome.CANCELLED, 1, 0, 2)
        if number > 10
        else RequestRecord(number * 0.1, number * 0.1, (number * 0.1 + 0.1,), number * 0.1 + 0.2, Outcome.OK, 1, 2, 2)
        for number in range(200)
    ]
    assert queue_growing(records, ANY_RATE)


def test_a_closed_loop_never_grows():
    assert not queue_growing(queue(1, 3.0, 200, 0, fixed=True), ClosedLoop(concurrency=4))


def test_few_requests_prove_nothing():
    overload = queue(1, 3.0, 50, 0, fixed=True)
    assert queue_growing(overload, ANY_RATE)
    assert not queue_growing(overload[:49], ANY_RATE)


def test_requests_without_a_first_token_are_no_ttft_and_no_crash():
    nothing = [RequestRecord(i * 0.1, math.nan, (), i * 0.1, Outcome.REFUSED, 1, 0, 2) for i in range(100)]
    assert not queue_growing(nothing, ANY_RATE)


def test_in_flight_counts_what_started_and_has_not_ended():
    starts, ends = np.array([0.0, 1.0, 2.0]), np.array([1.5, 5.0, 2.5])
    assert in_flight(starts, ends, np.array([-1.0, 0.0, 1.2, 2.0, 3.0, 5.0])).tolist() == [0, 1, 2, 2, 1, 0]
