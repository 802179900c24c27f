"""What a load point says to the capacity search: shares, sums, certainties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.domain.load import ClientHealth, LoadResult, Outcome, RequestRecord
from tuner.domain.slo import parse_slo
from tuner.metrics.evidence import FAILURES, Criterion, Measured, evidence

HEALTH = ClientHealth(cpu_s=0.0, cpu_share=0.0, lateness_p99=0.0, loop_lag_max=0.0)
ARRIVALS = PoissonArrivals(rate=1.0)


def answer(start: float, ttft: float, *gaps: float, outcome: Outcome = Outcome.OK) -> RequestRecord:
    times = tuple(np.cumsum([start + ttft, *gaps]).tolist())
    return RequestRecord(start, start, times, times[-1], outcome, 4, len(times), len(times))


def waiting(start: float, end: float) -> RequestRecord:
    """A request without an answer when the point was given up."""
    return RequestRecord(start, start, (), end, Outcome.CANCELLED, 4, 0, 2)


def look(records: list[RequestRecord], *slos: str, given_up: str = "", requests: int | None = None) -> Measured:
    result = LoadResult(0.0, 100.0, tuple(records), HEALTH, given_up)
    parsed = tuple(map(parse_slo, slos))
    return evidence(result, ARRIVALS, parsed, requests=requests or len(records), seconds=100.0)


def one(measured: Measured, name: str) -> Criterion:
    return next(each for each in measured.criteria if each.name == name)


def test_a_percentile_is_the_share_of_requests_above_the_limit():
    records = [answer(float(n), 0.9 if n % 10 == 0 else 0.1, 0.01) for n in range(100)]
    found = look(records, "ttft_p95=500ms")
    criterion = one(found, "ttft_p95")
    assert criterion.level == pytest.approx(0.1, abs=0.01)
    assert not criterion.held
    assert not found.held
    assert found.used == pytest.approx(0.9 / 0.5)


def test_a_mean_is_the_mean_over_its_limit():
    found = look([answer(float(n), 0.2, 0.01) for n in range(100)], "ttft_mean=400ms")
    assert one(found, "ttft_mean").level == pytest.approx(0.5)
    assert found.held


def test_gaps_between_events_count_one_by_one():
    records = [answer(float(n), 0.1, 0.01, 0.01, 0.01, 0.2) for n in range(100)]
    criterion = one(look(records, "itl_p95=100ms"), "itl_p95")
    assert criterion.level == pytest.approx(0.25)
    assert set(criterion.weights.tolist()) == {4.0}


def test_failed_requests_are_a_criterion_of_their_own_and_have_no_latency():
    records = [answer(float(n), 0.1, outcome=Outcome.CUT if n % 20 == 0 else Outcome.OK) for n in range(100)]
    found = look(records, "ttft_p95=500ms")
    assert one(found, FAILURES).level == pytest.approx(0.05, abs=0.011)
    assert (
        one(found, "ttft_p95").weights.sum() == one(found, FAILURES).weights.sum() - one(found, FAILURES).values.sum()
    )
    assert not found.held


def test_the_filling_of_an_empty_server_is_left_out():
    records = [answer(float(n), 0.9 if n < 5 else 0.1, 5.0) for n in range(100)]
    assert one(look(records, "ttft_p95=500ms"), "ttft_p95").level == 0.0


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 20))
def test_a_given_up_point_claims_no_more_than_is_certain(late: list[bool], unsent: int):
    records = [answer(n / 10, 0.9 if is_late else 0.1) for n, is_late in enumerate(late)]
    found = look(records, "ttft_p95=500ms", given_up="hopeless", requests=len(late) + unsent)
    assert found.given_up
    assert not found.held
    share = sum(late) / (len(late) + unsent)
    claimed = [each for each in found.criteria if each.name == "ttft_p95"]
    assert bool(claimed) == (share > 0.05)
    for each in claimed:
        assert each.at_least
        assert each.level == pytest.approx(share)


def test_a_request_that_waited_longer_than_its_limit_exceeds_it_without_an_answer():
    records = [waiting(0.0, 2.0), waiting(1.9, 2.0)]
    found = look(records, "ttft_p95=500ms", given_up="hopeless")
    assert one(found, "ttft_p95").level == pytest.approx(0.5)


def test_the_variation_of_times_in_service_is_told_where_enough_requests_ended():
    draw = np.random.default_rng(0)
    fixed = look([answer(float(n), 0.1, 1.0) for n in range(400)], "ttft_p95=500ms")
    drawn = look([answer(float(n), 0.1, draw.exponential(10.0)) for n in range(400)], "ttft_p95=500ms")
    assert fixed.variability == pytest.approx(0.0, abs=1e-9)
    assert drawn.variability == pytest.approx(1.0, abs=0.25)
    assert look([answer(float(n), 0.1, 1.0) for n in range(20)], "ttft_p95=500ms").variability is None


def test_the_gaps_between_arrivals_have_a_mean_of_one():
    found = look([answer(float(start), 0.1) for start in np.cumsum([1.0, 2.0] * 50)], "ttft_p95=500ms")
    assert found.gaps.mean() == pytest.approx(1.0)
    assert found.realised == pytest.approx(1 / 1.5, rel=0.02)


def test_a_closed_loop_has_no_rate_to_search_by():
    result = LoadResult(0.0, 1.0, (answer(0.0, 0.1),), HEALTH)
    with pytest.raises(ValueError, match="open-loop"):
        evidence(result, ClosedLoop(concurrency=2), (), requests=1, seconds=1.0)
