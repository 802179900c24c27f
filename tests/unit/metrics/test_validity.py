"""Whether a load point's figures are the server's, or the client's own."""

from typing import Any

import pytest

from tuner.domain.arrivals import Arrivals, ClosedLoop, PoissonArrivals
from tuner.domain.load import ClientHealth, LoadResult, Outcome, RequestRecord
from tuner.metrics.validity import invalid_reasons

OPEN = PoissonArrivals(rate=100.0)
NAN = float("nan")


def result(stretch: float = 1.0, ttft: float = 0.05, unsent: int = 0, **client: Any) -> LoadResult:
    """A hundred requests a second, sent on time but for `stretch`, the last `unsent` of them not at all."""
    sent = [
        RequestRecord(at / 100, at / 100 * stretch, (at / 100 + ttft,), at / 100 + ttft, Outcome.OK, 1, 1, 1)
        for at in range(100 - unsent)
    ]
    never = [RequestRecord(at / 100, NAN, (), 1.0, Outcome.CANCELLED, 1, 0, 1) for at in range(100 - unsent, 100)]
    values = {"cpu_s": 0.1, "cpu_share": 0.1, "lateness_p99": 0.0002, "loop_lag_max": 0.004, "loop_lag_mean": 0.0001}
    return LoadResult(0.0, 1.0, (*sent, *never), ClientHealth.model_validate(values | client))


def test_a_healthy_load_point_is_valid():
    assert invalid_reasons(result(), OPEN) == ()


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"cpu_share": 0.95}, "the client used 95% of a core"),
        ({"loop_lag_mean": 0.004}, "the client noticed events 4.0 ms late on average"),
        ({"loop_lag_p99": 0.02}, "the client noticed events 20.0 ms late at p99"),
        ({"lateness_p99": 0.02}, "requests left 20.0 ms late at p99"),
        ({"stretch": 1.03}, "the client took 1.02 s to send a schedule of 0.99 s"),
        ({"unsent": 3}, "the client did not send 3 of 100 requests that were due"),
    ],
)
def test_each_trouble_is_named_with_its_figure(trouble: dict[str, Any], words: str):
    assert invalid_reasons(result(**trouble), OPEN) == (words,)


def test_errors_that_are_small_beside_the_latency_do_no_harm():
    slow = result(ttft=2.0, loop_lag_mean=0.004, loop_lag_p99=0.02, lateness_p99=0.02)
    assert invalid_reasons(slow, OPEN) == ()


@pytest.mark.parametrize("arrivals", [ClosedLoop(concurrency=4)])
def test_a_closed_loop_has_no_schedule_to_miss(arrivals: Arrivals):
    assert invalid_reasons(result(stretch=1.5, lateness_p99=1.0), arrivals) == ()


def test_within_two_percent_a_schedule_counts_as_kept():
    assert invalid_reasons(result(stretch=1.015, unsent=2), OPEN) == ()


def test_nothing_sent_is_not_a_division_by_zero():
    empty = LoadResult(0.0, 0.0, (), result().client)
    assert invalid_reasons(empty, OPEN) == ()
