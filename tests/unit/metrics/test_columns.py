"""Request records as columns: the same requests, whichever way they are held."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.load import Outcome, RequestRecord
from tuner.domain.slo import Latency
from tuner.metrics.columns import Columns
from tuner.metrics.latency import itl, of_request, ttft_from_send

moments = st.floats(min_value=0, max_value=1e4)
records = st.builds(
    RequestRecord,
    scheduled_at=moments,
    sent_at=moments | st.just(math.nan),
    event_times=st.lists(moments, max_size=5).map(sorted).map(tuple),
    finished_at=moments,
    outcome=st.sampled_from(Outcome),
    input_tokens=st.just(1),
    output_tokens=st.integers(0, 5),
    requested_tokens=st.just(1),
)
many = st.lists(records, max_size=12)


@given(many)
def test_every_latency_of_columns_is_that_of_the_records(given_records: list[RequestRecord]):
    columns = Columns.of(given_records)
    for latency in Latency:
        np.testing.assert_array_equal(of_request(latency, columns), of_request(latency, given_records))
    np.testing.assert_array_equal(ttft_from_send(columns), ttft_from_send(given_records))
    np.testing.assert_array_equal(itl(columns), itl(given_records))


@given(many, st.randoms())
def test_some_of_the_columns_are_those_of_some_of_the_records(given_records: list[RequestRecord], dice: object):
    order = list(range(len(given_records)))
    dice.shuffle(order)  # type: ignore[attr-defined]
    some = order[: len(order) // 2]
    taken, expected = Columns.of(given_records).take(np.array(some, dtype=np.intp)), [given_records[n] for n in some]
    np.testing.assert_array_equal(taken.event_times, Columns.of(expected).event_times)
    np.testing.assert_array_equal(taken.first, Columns.of(expected).first)
    np.testing.assert_array_equal(taken.last, Columns.of(expected).last)
    assert taken.ok.tolist() == [record.outcome is Outcome.OK for record in expected]
    assert len(taken) == len(expected)
