"""Whether a load point can still meet its SLOs."""

import pytest

from tuner.domain.load import GiveUp, Outcome
from tuner.domain.slo import Latency
from tuner.load.exchange import Exchange
from tuner.load.hopeless import Hopeless

TTFT = GiveUp(latency=Latency.TTFT, limit=0.5, requests=2)


def exchange(*events: float, tokens: int | None = None, scheduled: float = 0.0) -> Exchange:
    made = Exchange(b"", 1, 4, exact=True, scheduled_at=scheduled, event_times=list(events))
    made.stream.completion_tokens = len(events) if tokens is None else tokens
    return made


def ended(*events: float, outcome: Outcome = Outcome.OK) -> Exchange:
    made = exchange(*events)
    made.end(outcome, "", 1.0)
    return made


def test_late_first_tokens_count_whether_they_came_or_not():
    hopeless = Hopeless([TTFT], "100 requests")
    hopeless.ended(ended(0.6, 0.7))
    assert hopeless.verdict([exchange()], now=0.4) == ""
    assert hopeless.verdict([exchange()], now=0.6) == "2 of 100 requests over ttft 500 ms"
    assert hopeless.verdict([exchange(0.3)], now=9.0) == "", "its first token was in time"


def test_failed_requests_have_no_latency():
    hopeless = Hopeless([TTFT], "100 requests")
    for _ in range(5):
        hopeless.ended(ended(outcome=Outcome.HTTP_ERROR))
    assert hopeless.verdict([], now=9.0) == ""


@pytest.mark.parametrize(
    ("rule", "late", "in_time"),
    [
        (GiveUp(latency=Latency.TPOT, limit=0.1, requests=1), ended(1.0, 1.3), ended(1.0, 1.05)),
        (GiveUp(latency=Latency.E2E, limit=2.0, requests=1), ended(1.0, 2.1), ended(1.0, 1.9)),
    ],
)
def test_other_latencies_count_when_they_are_known(rule: GiveUp, late: Exchange, in_time: Exchange):
    hopeless = Hopeless([rule], "10 requests")
    hopeless.ended(in_time)
    assert hopeless.verdict([], now=5.0) == ""
    hopeless.ended(late)
    assert hopeless.verdict([], now=5.0).startswith("1 of 10 requests over")


def test_without_rules_nothing_is_hopeless():
    hopeless = Hopeless([], "10 requests")
    hopeless.ended(ended(9.0))
    assert hopeless.verdict([exchange()], now=99.0) == ""
