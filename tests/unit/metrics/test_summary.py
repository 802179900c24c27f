"""One load point in figures."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.domain.load import ClientHealth, LoadResult, Outcome, RequestRecord
from tuner.domain.slo import parse_slo
from tuner.metrics.summary import meets_each_limit, summarise
from tuner.metrics.verdict import judged
from tuner.metrics.windows import Window

HEALTH = ClientHealth(cpu_s=1, cpu_share=0.1, lateness_p99=0, loop_lag_max=0)
RATE = PoissonArrivals(rate=10)


def answer(start: float, *, first: float = 0.1, gap: float = 0.01, tokens: int = 11, late: float = 0.0):
    times = tuple(start + first + gap * number for number in range(tokens))
    return RequestRecord(start, start + late, times, times[-1], Outcome.OK, 20, tokens, tokens)


def failure(start: float, outcome: Outcome = Outcome.CUT, after: float = 0.05):
    return RequestRecord(start, start, (), start + after, outcome, 20, 0, 11, "why")


def result(records: list[RequestRecord]) -> LoadResult:
    return LoadResult(1000.0, max((record.finished_at for record in records), default=0.0), tuple(records), HEALTH)


def steady(count: int, rate: float = 10.0) -> list[RequestRecord]:
    return [answer(number / rate) for number in range(count)]


def test_a_steady_load_point_is_summed_up():
    slos = [parse_slo("ttft_p95=150ms"), parse_slo("tpot_p95=20ms")]
    found = summarise(result(steady(200)), RATE, slos, Window(0.0, 19.95))
    assert (found.completed, found.failed, found.failure_rate, found.errors) == (200, 0, 0.0, {})
    assert found.ttft.p95 == pytest.approx(0.1)
    assert found.tpot.p50 == pytest.approx(0.01)
    assert found.itl.count == 2000
    assert found.e2e.mean == pytest.approx(0.2)
    assert found.achieved_rps == pytest.approx(10, rel=0.02)
    assert found.goodput_rps == pytest.approx(10, rel=0.02)
    assert found.output_tokens_per_s == pytest.approx(110, rel=0.02)
    assert found.input_tokens_per_s == pytest.approx(200, rel=0.02)
    assert found.users_mean == pytest.approx(2, rel=0.02)
    assert found.users_max <= 3
    assert found.tokens_per_event == 1
    assert (found.offered_rps, found.queue_growing, found.slo_met, found.slo_violations) == (10, False, True, ())


def test_without_a_window_rates_are_totals_over_the_whole_duration():
    found = summarise(result(steady(200)), RATE, [parse_slo("ttft_p95=150ms")])
    assert found.achieved_rps == pytest.approx(200 / 20.1)
    assert found.goodput_rps == pytest.approx(200 / 20.1)
    assert found.output_tokens_per_s == pytest.approx(2200 / 20.1)


def test_a_long_tail_after_the_window_does_not_lower_the_rate():
    stragglers = [answer(number / 10, gap=1.0) for number in range(200, 204)]
    found = summarise(result(steady(200) + stragglers), RATE, [], Window(0.0, 20.4))
    assert found.achieved_rps == pytest.approx(10, rel=0.03)


def test_latencies_are_those_of_requests_meant_to_start_within_the_window():
    ramp = [answer(number / 10, first=5.0) for number in range(50)]
    later = [answer(5 + number / 10) for number in range(100)]
    drain = [answer(15 + number / 10, first=5.0) for number in range(20)]
    whole = result(ramp + later + drain)
    found = summarise(whole, RATE, [parse_slo("ttft_p95=150ms")], Window(5.0, 14.95))
    assert (found.completed, found.ttft.count) == (170, 100)
    assert found.ttft.p95 == pytest.approx(0.1)
    assert found.ttft_from_send.count == 100
    assert found.slo_met
    assert not summarise(whole, RATE, [parse_slo("ttft_p95=150ms")]).slo_met


def test_a_window_in_which_nothing_ended_leaves_the_rate_to_the_whole():
    found = summarise(result([answer(0.0, first=9.9, gap=0.01)]), RATE, [], Window(0.0, 1.0))
    assert found.achieved_rps == pytest.approx(0.1)


def test_what_a_given_up_load_point_cancelled_is_no_failure_and_no_success():
    cancelled = RequestRecord(9.0, 9.0, (), 9.5, Outcome.CANCELLED, 20, 0, 11, "given up")
    whole = LoadResult(1000.0, 10.0, (*steady(98), cancelled, cancelled), HEALTH, "30 requests exceeded 500 ms")
    found = summarise(whole, RATE, [])
    assert (found.completed, found.failed, found.failure_rate, found.errors) == (98, 0, 0.0, {})
    assert (found.slo_met, found.slo_violations) == (False, ("given up: 30 requests exceeded 500 ms",))
    assert found.given_up == "30 requests exceeded 500 ms"
    assert judged(found, [parse_slo("ttft_p95=10s")]).slo_violations == found.slo_violations


def test_cancelled_requests_of_a_load_point_that_ran_to_its_end_are_failures():
    cancelled = RequestRecord(9.0, 9.0, (), 9.5, Outcome.CANCELLED, 20, 0, 11, "still running")
    assert summarise(result([*steady(9), cancelled]), RATE, []).failed == 1


def test_a_client_that_was_the_bottleneck_is_told():
    busy = HEALTH.model_copy(update={"cpu_share": 0.99})
    found = summarise(LoadResult(0.0, 20.1, tuple(steady(200)), busy), RATE, [])
    assert found.invalid == ("the client used 99% of a core",)
    assert summarise(result(steady(200)), RATE, []).invalid == ()


def test_sessions_and_their_steps_are_summed_up():
    calls = [replace(answer(number / 10), session=number // 2, step=number % 2) for number in range(10)]
    found = summarise(result(calls), RATE, [])
    assert found.sessions is not None
    assert found.sessions.completed == 5
    assert [(step.label, step.completed) for step in found.steps] == [("turn 1", 5), ("turn 2", 5)]


def test_an_overloaded_server_is_credited_with_what_it_serves():
    """Arrivals at 20 a second, served one by one at 5 a second."""
    starts = np.arange(100) / 20
    records = [answer(start, first=(number + 1) / 5 - start, gap=0.0) for number, start in enumerate(starts.tolist())]
    found = summarise(result(records), PoissonArrivals(rate=20), [])
    assert found.achieved_rps == pytest.approx(5, rel=0.02)
    assert found.queue_growing


def test_failures_in_between_lower_the_rate_and_are_told_by_outcome():
    records = steady(100) + [failure(10 + number / 10, Outcome.REFUSED) for number in range(100)]
    found = summarise(result(records), RATE, [])
    assert found.failure_rate == 0.5
    assert found.errors == {"refused": 100}
    assert found.achieved_rps == pytest.approx(5, rel=0.1)
    assert found.slo_violations == ("50.0 % of requests failed",)
    assert found.ttft.count == 100


def test_one_failure_in_a_hundred_is_forgiven_two_are_not():
    assert summarise(result([*steady(99), failure(9.9)]), RATE, []).slo_met
    assert not summarise(result([*steady(98), failure(9.8), failure(9.9)]), RATE, []).slo_met


def test_a_missed_limit_is_told_with_its_figures():
    found = summarise(result(steady(200)), RATE, [parse_slo("ttft_p95=50ms"), parse_slo("e2e_p95=1s")])
    assert found.slo_violations == ("ttft_p95 100 ms > 50.0 ms",)
    assert not found.slo_met
    assert found.goodput_rps == 0


def test_too_few_requests_for_a_percentile_do_not_meet_it():
    found = summarise(result(steady(12)), RATE, [parse_slo("ttft_p95=500ms")])
    assert found.slo_violations == ("ttft_p95 needs 8 more requests: 12 completed ones don't support it",)
    assert found.goodput_rps == pytest.approx(10, rel=0.1)


def test_goodput_counts_each_request_by_itself():
    slow = [answer(number / 10, first=0.4 if number % 4 == 0 else 0.1) for number in range(200)]
    found = summarise(result(slow), RATE, [parse_slo("ttft_p50=200ms")])
    assert found.slo_met
    assert found.goodput_rps == pytest.approx(7.5, rel=0.05)


def test_a_single_token_has_no_tpot_to_miss():
    records = [answer(0.0, tokens=1), answer(0.0, gap=0.2)]
    assert meets_each_limit(records, [parse_slo("tpot_p95=50ms")]).tolist() == [True, False]


def test_lateness_of_the_client_counts_in_ttft_and_is_shown_apart():
    found = summarise(result([answer(number / 10, late=0.03) for number in range(50)]), RATE, [])
    assert found.ttft.p50 == pytest.approx(0.1)
    assert found.ttft_from_send.p50 == pytest.approx(0.07)


def test_a_closed_loop_is_counted_while_all_its_users_are_busy():
    """Four users, ten requests of 0.2 s each: the last wave has two, and does not count."""
    starts = [wave * 0.2 for wave in range(3) for _ in range(4)][:10]
    found = summarise(result([answer(start) for start in starts]), ClosedLoop(concurrency=4), [], Window(0.0, 0.4))
    assert found.achieved_rps == pytest.approx(20)
    assert found.offered_rps is None
    assert found.users_mean == pytest.approx(4)
    assert found.users_max == 4


def test_a_closed_loop_of_one_wave_is_counted_as_a_whole():
    found = summarise(result([answer(0.0) for _ in range(4)]), ClosedLoop(concurrency=4), [])
    assert found.achieved_rps == pytest.approx(20)
    assert found.users_mean == pytest.approx(4)


def test_requests_that_a_closed_loop_never_sent_are_failures_without_a_start():
    unsent = RequestRecord(math.nan, math.nan, (), 5.0, Outcome.CANCELLED, 20, 0, 11, "not sent")
    found = summarise(result([answer(0.0), unsent, unsent]), ClosedLoop(concurrency=1), [])
    assert (found.completed, found.failed, found.users_max) == (1, 2, 1)


@pytest.mark.parametrize("arrivals", [RATE, ClosedLoop(concurrency=2)])
def test_nothing_completed_gives_no_latency_and_no_success(arrivals: PoissonArrivals | ClosedLoop):
    found = summarise(result([failure(0.1 * number) for number in range(10)]), arrivals, [parse_slo("ttft_p50=1s")])
    assert (found.completed, found.achieved_rps, found.ttft.count, found.slo_met) == (0, 0.0, 0, False)
    assert found.slo_violations[-1] == "100.0 % of requests failed"


def test_no_request_at_all_is_no_success():
    found = summarise(result([]), RATE, [])
    assert (found.completed, found.slo_met) == (0, False)
