"""The generator against a real server in another process, healthy and faulty, in this process's event loop."""

import math
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.domain.load import LoadJob, LoadResult, Outcome
from tuner.load.generator import generate

Serve = Callable[..., Any]
MakeJob = Callable[..., LoadJob]


async def run(job: LoadJob, api_key: str = "") -> LoadResult:
    return await generate(job, api_key=api_key, on_progress=lambda _done, _total: None)


def outcomes(result: LoadResult) -> Counter[Outcome]:
    return Counter(record.outcome for record in result.records)


def most_in_flight(result: LoadResult) -> int:
    starts = [(record.sent_at, 1) for record in result.records]
    ends = [(record.finished_at, -1) for record in result.records]
    return int(np.cumsum([step for _, step in sorted(starts + ends)]).max())


@pytest.mark.parametrize(
    ("mode", "outcome", "evidence"),
    [
        ("healthy", Outcome.OK, ""),
        ("slow_headers", Outcome.OK, ""),
        ("several_tokens_per_event", Outcome.OK, ""),
        ("several_events_per_write", Outcome.OK, ""),
        ("split_bytes", Outcome.OK, ""),
        ("crlf", Outcome.OK, ""),
        ("close_after_each", Outcome.OK, ""),
        ("error_chunk", Outcome.STREAM_ERROR, "EngineCore encountered an issue"),
        ("cut", Outcome.CUT, "after 4 token events"),
        ("cut_before_headers", Outcome.CUT, "before any answer"),
        ("short", Outcome.SHORT, "7 tokens by usage, 8 asked for"),
        ("long", Outcome.SHORT, "9 tokens by usage, 8 asked for"),
        ("no_usage", Outcome.SHORT, "without usage"),
        ("http_500", Outcome.HTTP_ERROR, "HTTP 500"),
        ("not_http", Outcome.CUT, "not HTTP"),
    ],
)
async def test_every_request_ends_as_the_server_made_it_end(
    serve: Serve, make_job: MakeJob, mode: str, outcome: Outcome, evidence: str
):
    with serve(mode) as server:
        result = await run(make_job(server.url))
    assert outcomes(result) == {outcome: 6}
    assert all(evidence in record.error for record in result.records)


async def test_a_stall_ends_at_the_deadline_and_nothing_is_dropped(serve: Serve, make_job: MakeJob):
    with serve("stall") as server:
        result = await run(make_job(server.url, deadline=0.4))
    assert outcomes(result) == {Outcome.CANCELLED: 6}
    assert [len(record.event_times) for record in result.records] == [4, 4, 4, 0, 0, 0]
    assert [record.error for record in result.records[2:4]] == ["still running after 0.4 s", "not sent within 0.4 s"]
    assert math.isnan(result.records[-1].sent_at)
    assert result.duration == pytest.approx(0.4, abs=0.2)


async def test_an_open_loop_stalls_without_slowing_its_schedule(serve: Serve, make_job: MakeJob):
    with serve("stall") as server:
        result = await run(make_job(server.url, PoissonArrivals(rate=100), requests=50, deadline=1.0))
        assert len(server.truth()) == 50
    assert outcomes(result) == {Outcome.CANCELLED: 50}
    assert not any(math.isnan(record.scheduled_at) for record in result.records)


async def test_a_server_that_is_not_there_refuses_every_request(make_job: MakeJob):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for arrivals in (ClosedLoop(concurrency=3), PoissonArrivals(rate=200)):
            result = await run(make_job(url, arrivals, requests=20))
            assert outcomes(result) == {Outcome.REFUSED: 20}
            assert all(record.error for record in result.records)


async def test_a_shorter_answer_is_fine_where_eos_counts(serve: Serve, make_job: MakeJob):
    with serve("short") as server:
        result = await run(make_job(server.url, ignore_eos=False))
    assert outcomes(result) == {Outcome.OK: 6}
    assert {record.output_tokens for record in result.records} == {7}


async def test_the_server_is_sent_what_the_job_says(serve: Serve, make_job: MakeJob):
    with serve() as server:
        result = await run(make_job(server.url), api_key="secret")
        seen = server.requests()
    assert {request["authorization"] for request in seen} == {"Bearer secret"}
    assert all(len(request["body"]["prompt"]) == 16 for request in seen)
    assert {(request["body"]["model"], request["body"]["max_tokens"]) for request in seen} == {("tuner-x", 8)}
    assert len({tuple(request["body"]["prompt"]) for request in seen}) == 6
    assert {record.input_tokens for record in result.records} == {7}, "usage is believed, not what was asked for"


async def test_connections_are_kept_and_reused(serve: Serve, make_job: MakeJob):
    with serve() as server:
        await run(make_job(server.url, requests=30))
        assert server.connections() == 3 + 1, "one a user, and the one that asks"


async def test_a_closed_loop_keeps_its_users_busy_and_never_more(serve: Serve, make_job: MakeJob):
    with serve(first_ms=20) as server:
        result = await run(make_job(server.url, ClosedLoop(concurrency=4), requests=20))
    assert most_in_flight(result) == 4
    assert [record.scheduled_at for record in result.records] == [record.sent_at for record in result.records]


async def test_users_that_finish_before_all_have_started_go_on(serve: Serve, make_job: MakeJob):
    """Forty users start within 40 ms, and their requests take about 15."""
    with serve() as server:
        result = await run(make_job(server.url, ClosedLoop(concurrency=40), requests=600))
    assert outcomes(result) == {Outcome.OK: 600}
    assert most_in_flight(result) == 40


async def test_events_written_together_are_seen_together(serve: Serve, make_job: MakeJob):
    with serve("several_events_per_write", gap_ms=20) as server:
        result = await run(make_job(server.url))
    for record in result.records:
        assert len(record.event_times) == 8
        assert len(set(record.event_times)) <= 4


async def test_progress_ends_with_the_last_request(serve: Serve, make_job: MakeJob):
    told: list[tuple[int, int]] = []
    with serve(gap_ms=50) as server:
        job = make_job(server.url)
        await generate(job, api_key="", on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (6, 6)
    assert told == sorted(told)
