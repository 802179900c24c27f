"""Where a criterion crosses its bound: values made by a rule whose crossing is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.metrics.crossing import Crossing, crossing, queue_crossing
from tuner.metrics.evidence import Criterion, Measured

AT, STEEPNESS = 10.0, 12.0
LOW, HIGH = 1.0, 100.0
RATES = (8.0, 9.0, 10.0, 11.0, 12.0)


def share(rate: float) -> float:
    """5 % at the crossing, the logarithm of the odds rising with that of the rate."""
    odds = 0.05 / 0.95 * (rate / AT) ** STEEPNESS
    return odds / (1 + odds)


def point(rate: float, criterion: Criterion, *, growing: bool = False, given_up: bool = False) -> Measured:
    size = criterion.values.size
    return Measured(rate, rate, size, size / rate, (criterion,), np.empty(0), growing=growing, given_up=given_up)


def drawn(rate: float, requests: int, draw: np.random.Generator) -> Measured:
    values = (draw.random(requests) < share(rate)).astype(np.float64)
    return point(rate, Criterion("ttft_p95", 0.05, values, np.ones(requests)))


def certain(rate: float, level: float, requests: int = 100) -> Measured:
    values = np.zeros(requests)
    values[: round(level * requests)] = 1.0
    return point(rate, Criterion("ttft_p95", 0.05, values, np.ones(requests), at_least=True), given_up=True)


def found(points: list[Measured]) -> Crossing:
    return crossing("ttft_p95", points, LOW, HIGH)


def test_it_is_found_with_its_steepness():
    draw = np.random.default_rng(1)
    where = found([drawn(rate, 4000, draw) for rate in RATES])
    assert where.rate(0.5) == pytest.approx(AT, rel=0.03)
    assert where.steepness == pytest.approx(STEEPNESS, rel=0.3)


def test_nine_in_ten_intervals_hold_it():
    inside = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        where = found([drawn(rate, 1500, draw) for rate in RATES])
        inside += where.rate(0.05) <= AT <= where.rate(0.95)
    assert 49 <= inside <= 60  # a coverage of 90 % falls below 49 in one of a thousand cases


def test_a_mean_crosses_where_it_reaches_its_limit():
    draw = np.random.default_rng(3)
    points = [
        point(rate, Criterion("ttft_mean", None, draw.exponential((rate / AT) ** 3, 2000), np.ones(2000)))
        for rate in RATES
    ]
    assert crossing("ttft_mean", points, LOW, HIGH).rate(0.5) == pytest.approx(AT, rel=0.03)


def test_without_evidence_every_rate_is_as_likely_by_its_logarithm():
    where = found([])
    assert where.rate(0.5) == pytest.approx(10.0, rel=1e-6)
    assert where.mass.sum() == pytest.approx(1.0)


def test_a_given_up_point_says_that_it_lies_below_and_no_more():
    unknown, broken, hopeless = found([]), found([certain(20.0, 0.3, 1000)]), found([certain(20.0, 0.9, 1000)])
    assert broken.rate(0.95) < unknown.rate(0.95)
    assert hopeless.rate(0.95) <= broken.rate(0.95) * 1.01
    assert hopeless.rate(0.05) < 2.0


def test_dependent_values_are_worth_less_than_their_number():
    draw = np.random.default_rng(4)
    alone = [drawn(rate, 4000, draw) for rate in RATES]
    one_in_twenty = [drawn(rate, 200, draw) for rate in RATES]
    repeated = [
        point(each.rate, Criterion("ttft_p95", 0.05, np.repeat(each.criteria[0].values, 20), np.ones(4000)))
        for each in one_in_twenty
    ]
    narrow, wide = found(alone), found(repeated)
    assert wide.inflation > 2 * narrow.inflation
    assert wide.rate(0.95) / wide.rate(0.05) > narrow.rate(0.95) / narrow.rate(0.05)


@given(st.lists(st.tuples(st.sampled_from(RATES), st.booleans()), max_size=8))
def test_a_queue_that_grows_puts_its_crossing_below_and_one_that_does_not_above(verdicts: list[tuple[float, bool]]):
    nothing = Criterion("ttft_p95", 0.05, np.zeros(300), np.ones(300))
    points = [point(rate, nothing, growing=growing) for rate, growing in verdicts]
    before = queue_crossing(points, LOW, HIGH)
    assert queue_crossing([*points, point(10.0, nothing, growing=True)], LOW, HIGH).rate(0.5) <= before.rate(0.5)
    assert queue_crossing([*points, point(10.0, nothing)], LOW, HIGH).rate(0.5) >= before.rate(0.5)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_quantiles_rise(one: float, other: float):
    where = found([drawn(rate, 300, np.random.default_rng(7)) for rate in RATES])
    assert (where.rate(one) <= where.rate(other)) == (one <= other)
