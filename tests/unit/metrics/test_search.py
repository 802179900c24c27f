"""The capacity search, on simulated queues in virtual time and on servers made of rules."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.capacity.queue import SlotQueue, erlang_c
from tests.benchmarks.capacity.simulation import Searched, search
from tuner.domain.slo import parse_slo
from tuner.domain.study import LoadPlan
from tuner.metrics.capacity import capacity
from tuner.metrics.evidence import FAILURES, Criterion, Measured
from tuner.metrics.search import Probe, next_probe

SLOS = (parse_slo("ttft_p95=500ms"),)
QUEUE = SlotQueue(slots=16, service_s=2.0)
CROSSING = 6.113
"""Of that queue and those SLOs, by 8 runs of 2 million requests: 76 % of slots over service time."""
FAST_START = LoadPlan(tolerance=0.05, time_budget=3600.0, max_points=30)

Share = Callable[[float], float]
"""From a rate to the share of requests above the limit."""


def pretend(probe: Probe, share: Share, seed: int) -> Measured:
    """A load point of independent requests, each above the limit with the rate's probability."""
    draw = np.random.default_rng(seed)
    values = (draw.random(probe.requests) < share(probe.rate)).astype(np.float64)
    ones = np.ones(probe.requests)
    used = 2.0 if values.mean() > 0.05 else 0.5
    criteria = (
        Criterion("ttft_p95", 0.05, values, ones, used),
        Criterion(FAILURES, 0.01, np.zeros(probe.requests), ones),
    )
    seconds = probe.requests / probe.rate
    return Measured(probe.rate, probe.rate, probe.requests, seconds, criteria, np.empty(0), growing=False)


def climb(plan: LoadPlan, share: Share, target: float = 10.0) -> list[Measured]:
    measured: list[Measured] = []
    while True:
        probe = next_probe(plan, SLOS, target, measured, sum(point.seconds for point in measured))
        if probe is None:
            return measured
        measured.append(pretend(probe, share, len(measured)))
        assert len(measured) <= plan.max_points


def step(at: float) -> Share:
    return lambda rate: 0.0 if rate <= at else 1.0


@pytest.fixture(scope="module")
def twenty() -> list[Searched]:
    return [search(QUEUE, FAST_START, SLOS, 3.0, seed) for seed in range(20)]


def test_the_search_lies_within_5_percent_of_the_truth_in_19_of_20_seeds(twenty: list[Searched]):
    assert sum(abs(one.capacity.rps / CROSSING - 1) < 0.05 for one in twenty) >= 19


def test_it_needs_fewer_requests_than_eight_points_of_three_thousand(twenty: list[Searched]):
    assert max(one.requests for one in twenty) < 24_000


def test_its_intervals_hold_the_truth_and_are_mostly_as_narrow_as_asked(twenty: list[Searched]):
    upper = [one.capacity.upper_rps or np.inf for one in twenty]
    assert sum(one.capacity.lower_rps <= CROSSING <= top for one, top in zip(twenty, upper, strict=True)) >= 16
    widths = [(top - one.capacity.lower_rps) / 2 / one.capacity.rps for one, top in zip(twenty, upper, strict=True)]
    assert np.median(widths) <= 0.05
    assert {one.capacity.limited_by for one in twenty} == {"ttft_p95"}


def test_the_truth_is_that_of_a_long_simulation_and_of_erlangs_formula():
    assert QUEUE.crossing(0.5, 0.95, runs=2, requests=400_000) == pytest.approx(CROSSING, rel=0.01)
    assert erlang_c(1, 0.7) == pytest.approx(0.7)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)


def test_a_time_budget_is_kept_and_what_it_costs_in_width_is_said():
    plan = LoadPlan(time_budget=200.0, duration=20.0)
    found = search(QUEUE, plan, SLOS, 3.0, seed=1)
    assert found.seconds <= 200.0
    assert found.capacity.note.startswith("time budget of 3 minutes: ±")
    assert "±5% would take about" in found.capacity.note


def test_the_first_load_point_is_the_target_whole_and_never_given_up():
    assert next_probe(LoadPlan(), SLOS, 10.0, [], 0.0) == Probe(10.0, 600, (), "the target rate")


def test_a_p99_gets_enough_requests_to_be_claimed():
    probe = next_probe(LoadPlan(), (parse_slo("ttft_p99=1s"),), 1.0, [], 0.0)
    assert probe is not None
    assert probe.requests >= 459


def test_a_server_that_holds_everything_is_tried_up_to_the_highest_rate():
    plan = LoadPlan()
    points = climb(plan, step(1e9))
    assert max(point.rate for point in points) == pytest.approx(40.0)
    found = capacity(plan, SLOS, 10.0, points)
    assert (found.rps, found.upper_rps, found.note) == (pytest.approx(40.0), None, "")


def test_a_server_that_holds_nothing_is_given_up_at_the_lowest_rate():
    plan = LoadPlan()
    points = climb(plan, step(0.0))
    found = capacity(plan, SLOS, 10.0, points)
    assert (found.rps, found.upper_rps, found.limited_by) == (0.0, pytest.approx(2.5), "ttft_p95")
    assert len(points) <= 5


@pytest.mark.parametrize("at", [4.0, 11.0, 17.0, 33.0])
def test_a_server_that_breaks_in_one_step_is_bracketed(at: float):
    plan = LoadPlan(time_budget=None)
    found = capacity(plan, SLOS, 10.0, climb(plan, step(at)))
    assert found.upper_rps is not None
    assert found.lower_rps * 0.97 <= at <= found.upper_rps * 1.03
    assert found.rps == pytest.approx(at, rel=0.08)


def test_a_point_that_the_client_bent_says_nothing():
    plan = LoadPlan()
    good = climb(plan, step(17.0))
    probe = Probe(12.0, 500, (), "")
    bent = pretend(probe, step(0.0), 0)
    invalid = Measured(12.0, 12.0, 500, 1.0, bent.criteria, bent.gaps, growing=True, valid=False)
    assert capacity(plan, SLOS, 10.0, [*good, invalid]) == capacity(plan, SLOS, 10.0, good)
    assert capacity(plan, SLOS, 10.0, [invalid]).rps == 0


@settings(max_examples=25, deadline=None)
@given(
    at=st.floats(0.5, 100.0),
    steepness=st.sampled_from([5.0, 20.0, 200.0]),
    budget=st.one_of(st.none(), st.floats(60.0, 1000.0)),
    most=st.integers(1, 12),
)
def test_it_ends_within_its_points_its_range_and_its_time(at: float, steepness: float, budget: float | None, most: int):
    plan = LoadPlan(time_budget=budget, max_points=most)

    def share(rate: float) -> float:
        odds = 0.05 / 0.95 * (rate / at) ** steepness
        return odds / (1 + odds) if odds < 1e9 else 1.0

    points = climb(plan, share)
    assert points[0].rate == 10.0
    assert all(2.5 * 0.999 <= point.rate <= 40.0 * 1.001 for point in points)
    if budget is not None:
        assert sum(point.seconds for point in points) <= max(budget, points[0].seconds) * 1.0001
    found = capacity(plan, SLOS, 10.0, points)
    assert found.lower_rps <= found.rps <= (found.upper_rps or np.inf)
