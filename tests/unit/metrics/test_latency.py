"""The latencies, against the formulas of vLLM's own benchmark."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.load import Outcome, RequestRecord
from tuner.domain.slo import Latency
from tuner.metrics.latency import e2e, itl, of_request, tpot, ttft, ttft_from_send

GAPS = st.lists(st.floats(0, 2), min_size=1, max_size=20)


def record(start: float, late: float, gaps: list[float], tokens: int) -> RequestRecord:
    times = tuple(float(time) for time in start + late + np.cumsum(gaps))
    return RequestRecord(start, start + late, times, times[-1], Outcome.OK, 5, tokens, tokens)


RECORDS = st.builds(record, st.floats(0, 100), st.floats(0, 1), GAPS, st.integers(1, 50))


def vllm_figures(made: RequestRecord) -> tuple[float, float, float, list[float]]:
    """TTFT, latency, TPOT and ITL as vllm/benchmarks computes them, of a request sent when it was scheduled.

    endpoint_request_func: ttft = timestamp - st at the first chunk; itl.append(timestamp - most_recent_timestamp)
    at the others; latency = most_recent_timestamp - st. calculate_metrics: tpot = (latency - ttft) / (output_len - 1).
    """
    ttft_value, gaps, most_recent = 0.0, list[float](), made.sent_at
    for number, timestamp in enumerate(made.event_times):
        if number == 0:
            ttft_value = timestamp - made.sent_at
        else:
            gaps.append(timestamp - most_recent)
        most_recent = timestamp
    latency = most_recent - made.sent_at
    value = (latency - ttft_value) / (made.output_tokens - 1) if made.output_tokens > 1 else math.nan
    return ttft_value, latency, value, gaps


@given(made=st.lists(RECORDS, min_size=1, max_size=10))
def test_figures_equal_vllm_s_but_for_the_intended_start(made: list[RequestRecord]):
    theirs = [vllm_figures(one) for one in made]
    late = [one.sent_at - one.scheduled_at for one in made]
    assert ttft_from_send(made) == pytest.approx([value[0] for value in theirs])
    assert ttft(made) == pytest.approx([value[0] + delay for value, delay in zip(theirs, late, strict=True)])
    assert e2e(made) == pytest.approx([value[1] + delay for value, delay in zip(theirs, late, strict=True)])
    assert tpot(made) == pytest.approx([value[2] for value in theirs], nan_ok=True, abs=1e-9)
    assert itl(made) == pytest.approx([gap for value in theirs for gap in value[3]])


def test_events_of_several_tokens_do_not_bend_tpot():
    coarse = record(0, 0, [0.1, 0.08, 0.08], tokens=17)
    assert tpot([coarse])[0] == pytest.approx(0.01)
    assert itl([coarse]) == pytest.approx([0.08, 0.08])


def test_a_request_without_events_has_no_latency():
    nothing = RequestRecord(0.0, math.nan, (), 1.0, Outcome.REFUSED, 5, 0, 4)
    assert all(np.isnan(of_request(latency, [nothing])).all() for latency in Latency)
    assert itl([nothing]).size == 0
    assert itl([]).size == 0


def test_a_request_is_judged_by_its_longest_gap():
    assert of_request(Latency.ITL, [record(0, 0, [1.0, 0.1, 0.3, 0.2], 4)])[0] == pytest.approx(0.3)
