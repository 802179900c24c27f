"""What follows from a job before anything is sent."""

from typing import Any

import numpy as np
import pytest

from tuner.domain.arrivals import Arrivals, ClosedLoop, ConstantArrivals, TraceArrivals
from tuner.domain.errors import InputError
from tuner.domain.load import LoadJob
from tuner.domain.workload import Workload
from tuner.load.plan import busiest, connections, session_starts
from tuner.load.trace_formats import TraceRequest

TRACE: dict[str, Any] = {"trace": {"file": "mine.jsonl", "format": "prompts"}}


def job(arrivals: Arrivals, *, requests: int = 100, send_for: float | None = None, **workload: Any) -> LoadJob:
    return LoadJob(
        url="http://h",
        model="m",
        vocabulary=500,
        workload=Workload.model_validate(workload),
        arrivals=arrivals,
        requests=requests,
        deadline_s=1.0,
        send_for_s=send_for,
        seed=7,
    )


def rows(*moments: float | None) -> tuple[TraceRequest, ...]:
    return tuple(TraceRequest(at, 5, 5) for at in moments)


def test_what_would_start_after_the_time_for_sending_is_left_out():
    starts = session_starts(job(ConstantArrivals(rate=10.0), send_for=0.55), 1, None)
    assert starts.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_a_trace_is_replayed_once():
    assert session_starts(job(TraceArrivals(speed=2.0), **TRACE), 1, rows(0.0, 3.0)).tolist() == [0.0, 1.5]
    assert session_starts(job(ConstantArrivals(rate=10.0), **TRACE), 1, rows(None, None)).size == 2
    assert session_starts(job(ClosedLoop(concurrency=4), **TRACE), 1, rows(None, None, None)).size == 3


def test_without_times_a_trace_can_t_be_replayed_by_them():
    with pytest.raises(InputError, match=r"mine\.jsonl: knows no times"):
        session_starts(job(TraceArrivals(), **TRACE), 1, rows(None))
    with pytest.raises(InputError, match="no trace"):
        session_starts(job(TraceArrivals()), 1, None)


def test_a_closed_loop_has_a_connection_a_user_and_spare_ones_where_pauses_let_them_grow_old():
    starts = np.full(100, np.nan)
    assert connections(job(ClosedLoop(concurrency=64)), starts) == (64, 0)
    assert connections(job(ClosedLoop(concurrency=640)), starts) == (100, 0)
    assert connections(job(ClosedLoop(concurrency=64), conversation={"turns": 3}), starts) == (64, 8)


def test_an_open_loop_has_connections_for_its_busiest_moment():
    assert connections(job(ConstantArrivals(rate=1.0)), np.arange(100.0)) == (8, 8)
    assert connections(job(ConstantArrivals(rate=1.0)), np.zeros(50)) == (50, 50)
    assert connections(job(ConstantArrivals(rate=1.0)), np.zeros(5000)) == (256, 256)
    assert connections(job(ConstantArrivals(rate=1.0)), np.arange(3.0)) == (3, 8)


def test_the_busiest_moment_may_lie_anywhere():
    assert busiest(np.array([0.0, 0.05, 0.06, 0.5, 0.55, 0.58, 0.6, 2.0]), 0.1) == 4
    assert busiest(np.empty(0), 0.1) == 0
