import dataclasses
import math
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.load import Outcome, RequestRecord
from tuner.store.records_codec import decode_columns, decode_records, encode_records

NEVER = math.nan

moments = st.one_of(st.integers(min_value=-(10**12), max_value=10**12).map(lambda ticks: ticks / 1e6), st.just(NEVER))
counts = st.integers(min_value=0, max_value=10_000_000)
records = st.builds(
    RequestRecord,
    scheduled_at=moments,
    sent_at=moments,
    event_times=st.lists(moments, max_size=8).map(tuple),
    finished_at=moments,
    outcome=st.sampled_from(Outcome),
    input_tokens=counts,
    output_tokens=counts,
    requested_tokens=counts,
    error=st.text(),
)


def comparable(record: RequestRecord) -> tuple[object, ...]:
    """NaN differs from itself: compare its spelling."""
    return tuple(repr(value) for value in dataclasses.astuple(record))


@given(st.lists(records, max_size=12))
def test_whole_microseconds_and_everything_else_come_back_exactly(given_records: list[RequestRecord]):
    decoded = decode_records(encode_records(given_records))
    assert [comparable(record) for record in decoded] == [comparable(record) for record in given_records]


@given(st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=20))
def test_any_time_comes_back_within_half_a_microsecond(times: list[float]):
    record = RequestRecord(times[0], times[-1], tuple(times), times[0], Outcome.OK, 1, 2, 3)
    (decoded,) = decode_records(encode_records([record]))
    assert decoded.event_times == pytest.approx(times, rel=0, abs=0.51e-6)
    assert decoded.scheduled_at == pytest.approx(times[0], rel=0, abs=0.51e-6)


def night_of_records(requests: int, tokens: int) -> list[RequestRecord]:
    dice = random.Random(0)  # noqa: S311  # no secret
    made: list[RequestRecord] = []
    start = 0.0
    for _ in range(requests):
        start += dice.expovariate(30)
        events = [start + dice.uniform(0.05, 0.1)]
        while len(events) < tokens:
            events.append(events[-1] + max(0.001, dice.gauss(0.012, 0.001)))
        sent = start + dice.uniform(0, 0.001)
        made.append(RequestRecord(start, sent, tuple(events), events[-1] + 1e-4, Outcome.OK, 512, tokens, tokens))
    return made


def test_a_token_costs_less_than_two_bytes():
    assert len(encode_records(night_of_records(200, 100))) / (200 * 100) < 2


@pytest.mark.parametrize("time", [math.inf, -math.inf, 1e300])
def test_an_impossible_time_is_refused(time: float):
    with pytest.raises(ValueError, match="infinite"):
        encode_records([RequestRecord(0.0, 0.0, (time,), 0.0, Outcome.OK, 1, 1, 1)])


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="format 02; this tuner reads 1"):
        decode_records(b"\x02" + encode_records([])[1:])
    with pytest.raises(ValueError, match="format nothing"):
        decode_records(b"")


@pytest.mark.parametrize("cut", [1, 5, 40, -1])
def test_truncated_bytes_are_refused(cut: int):
    with pytest.raises(ValueError, match="damaged request records"):
        decode_records(encode_records(night_of_records(3, 10))[:cut])


@given(st.binary(max_size=200))
def test_bytes_of_chance_are_refused_in_words(body: bytes):
    with pytest.raises(ValueError, match="damaged request records"):
        decode_records(b"\x01" + zlib.compress(body))


@given(st.lists(records, max_size=12))
def test_columns_hold_what_the_records_hold(given_records: list[RequestRecord]):
    columns = decode_columns(encode_records(given_records))
    assert repr(columns.scheduled_at.tolist()) == repr([record.scheduled_at for record in given_records])
    assert repr(columns.finished_at.tolist()) == repr([record.finished_at for record in given_records])
    assert repr(columns.event_times.tolist()) == repr([time for one in given_records for time in one.event_times])
    assert columns.event_counts.tolist() == [len(record.event_times) for record in given_records]
    for outcome in Outcome:
        assert columns.outcomes.are(outcome).tolist() == [record.outcome is outcome for record in given_records]
    assert [columns.errors.of(n) for n in range(len(given_records))] == [record.error for record in given_records]
