"""The verdict on how a request ended."""

import math

import pytest

from tuner.domain.load import Outcome
from tuner.load.exchange import Exchange, judge


def exchange(*, tokens: int | None = 4, events: int = 4, exact: bool = True, status: int = 200) -> Exchange:
    made = Exchange(payload=b"", input_tokens=3, requested_tokens=4, exact=exact, scheduled_at=10.0, sent_at=10.5)
    made.status = status
    made.event_times = [11.0 + number for number in range(events)]
    made.stream.completion_tokens = tokens
    return made


@pytest.mark.parametrize(
    ("seen", "outcome", "evidence"),
    [
        (exchange(), Outcome.OK, ""),
        (exchange(tokens=3), Outcome.SHORT, "3 tokens by usage, 4 asked for"),
        (exchange(tokens=5), Outcome.SHORT, "5 tokens by usage, 4 asked for"),
        (exchange(tokens=3, exact=False), Outcome.OK, ""),
        (exchange(tokens=5, exact=False), Outcome.SHORT, "5 tokens by usage, 4 asked for"),
        (exchange(tokens=None), Outcome.SHORT, "without usage"),
        (exchange(events=0), Outcome.SHORT, "no event carried tokens"),
        (exchange(status=503), Outcome.HTTP_ERROR, "HTTP 503"),
    ],
)
def test_a_response_that_ended_properly_is_judged_by_what_it_held(seen: Exchange, outcome: Outcome, evidence: str):
    verdict, text = judge(seen, complete=True)
    assert verdict is outcome
    assert evidence in text


def test_an_error_chunk_weighs_more_than_a_right_count():
    seen = exchange()
    seen.stream.error = "engine dead"
    assert judge(seen, complete=True) == (Outcome.STREAM_ERROR, "engine dead")


def test_a_lost_connection_is_a_cut_that_says_how_far_it_came():
    assert judge(exchange(), complete=False, why="reset") == (
        Outcome.CUT,
        "the connection closed after 4 token events: reset",
    )
    assert judge(exchange(status=0, events=0), complete=False)[1] == "the connection closed before any answer"


def test_a_stream_that_said_done_needs_no_proper_end_of_its_message():
    seen = exchange()
    seen.stream.done = True
    assert judge(seen, complete=False)[0] is Outcome.OK


def test_a_record_is_relative_to_zero_and_prefers_the_server_s_counts():
    seen = exchange(events=2)
    seen.stream.prompt_tokens = 7
    seen.end(Outcome.SHORT, "two\nlines", 13.25)
    record = seen.record(10.0)
    assert (record.scheduled_at, record.sent_at, record.event_times, record.finished_at) == (0.0, 0.5, (1.0, 2.0), 3.25)
    assert (record.input_tokens, record.output_tokens, record.requested_tokens) == (7, 4, 4)
    assert record.error == "two lines"


def test_times_that_never_came_stay_nan():
    seen = Exchange(payload=b"", input_tokens=3, requested_tokens=4, exact=True)
    seen.end(Outcome.REFUSED, "no", 1.0)
    assert math.isnan(seen.record(0.0).sent_at)
    assert seen.record(0.0).input_tokens == 3


def test_an_exchange_under_way_has_no_record():
    with pytest.raises(ValueError, match="not ended"):
        exchange().record(0.0)
