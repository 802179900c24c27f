"""The generator against a real server in another process, healthy and faulty, in this process's event loop."""

import json
import math
import socket
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme

from tuner.domain.arrivals import Arrivals, ClosedLoop, ConstantArrivals, PoissonArrivals, TraceArrivals
from tuner.domain.load import GiveUp, LoadJob, LoadResult, Outcome
from tuner.domain.slo import Latency
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
        ("http_429", Outcome.HTTP_ERROR, "HTTP 429"),
        ("http_500", Outcome.HTTP_ERROR, "HTTP 500"),
        ("http_503", Outcome.HTTP_ERROR, "HTTP 503"),
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


CHAIN = [
    {"name": "routing", "input_tokens": 4, "output_tokens": 2},
    {"name": "retrieval", "before": "60ms"},
    {"name": "answer", "input_tokens": 9, "output_tokens": 8},
]


@pytest.mark.parametrize("arrivals", [ClosedLoop(concurrency=2), PoissonArrivals(rate=100.0)])
async def test_a_chain_s_calls_follow_one_another_after_their_other_work(
    serve: Serve, make_job: MakeJob, arrivals: Arrivals
):
    with serve() as server:
        result = await run(make_job(server.url, arrivals, requests=5, workload={"chain": CHAIN}))
    assert outcomes(result) == {Outcome.OK: 10}
    for number in range(5):
        first, second = [record for record in result.records if record.session == number]
        assert [(first.step, first.label), (second.step, second.label)] == [(0, "routing"), (1, "answer")]
        assert second.scheduled_at == pytest.approx(first.finished_at + 0.06, abs=1e-6)
        assert second.sent_at >= second.scheduled_at


async def test_a_failed_call_ends_its_session(serve: Serve, make_job: MakeJob):
    with serve("http_500") as server:
        result = await run(make_job(server.url, requests=4, workload={"chain": CHAIN}))
    assert [record.label for record in result.records] == ["routing"] * 4


async def test_a_conversation_sends_what_was_said_with_the_answers_that_came(serve: Serve, make_job: MakeJob):
    talk = {"conversation": {"turns": 3, "think_time": 0.01}, "prefix": {"tokens": 5}}
    with serve() as server:
        result = await run(make_job(server.url, ClosedLoop(concurrency=1), requests=1, output=4, workload=talk))
        prompts = [request["body"]["prompt"] for request in server.requests()]
    assert [len(prompt) for prompt in prompts] == [5 + 16, 5 + 16 + 4 + 16, 5 + 16 + 4 + 16 + 4 + 16]
    assert prompts[1][:25] == prompts[0] + [42] * 4
    assert prompts[2][:41] == prompts[1]
    assert [record.label for record in result.records] == ["turn 1", "turn 2", "turn 3"]


async def test_a_chat_grows_by_messages(serve: Serve, make_job: MakeJob):
    talk = {"endpoint": "chat", "conversation": {"turns": 2}, "prefix": {"tokens": 5}}
    with serve() as server:
        result = await run(make_job(server.url, ClosedLoop(concurrency=1), requests=1, output=4, workload=talk))
        first, second = (request["body"]["messages"] for request in server.requests())
    assert outcomes(result) == {Outcome.OK: 2}
    assert [len(record.event_times) for record in result.records] == [4, 4], "who speaks is no token"
    assert [message["role"] for message in first] == ["system", "user"]
    assert [message["role"] for message in second] == ["system", "user", "assistant", "user"]
    assert second[2]["content"] == "éééé"


async def test_a_hopeless_load_point_is_given_up_and_what_was_never_sent_leaves_no_record(
    serve: Serve, make_job: MakeJob
):
    rule = GiveUp(latency=Latency.TTFT, limit=0.1, requests=5)
    with serve(first_ms=150) as server:
        job = make_job(server.url, PoissonArrivals(rate=50.0), requests=500, deadline=60.0, give_up=(rule,))
        result = await run(job)
    assert "of 500 requests over ttft 100 ms" in result.given_up
    assert 5 <= len(result.records) < 250
    assert not any(math.isnan(record.sent_at) for record in result.records)
    assert set(outcomes(result)) <= {Outcome.OK, Outcome.CANCELLED}


async def test_rules_that_nothing_breaks_change_nothing(serve: Serve, make_job: MakeJob):
    rule = GiveUp(latency=Latency.TTFT, limit=5.0, requests=1)
    with serve() as server:
        result = await run(make_job(server.url, requests=20, give_up=(rule,)))
    assert (result.given_up, outcomes(result)) == ("", {Outcome.OK: 20})


@pytest.mark.parametrize("arrivals", [ClosedLoop(concurrency=2), ConstantArrivals(rate=100.0)])
async def test_sending_stops_in_time_and_what_runs_may_finish(serve: Serve, make_job: MakeJob, arrivals: Arrivals):
    with serve(first_ms=20) as server:
        result = await run(make_job(server.url, arrivals, requests=5000, send_for_s=0.3))
    assert set(outcomes(result)) == {Outcome.OK}
    assert 0.2 < max(record.sent_at for record in result.records) < 0.35
    assert result.duration > 0.3


async def test_a_server_that_falls_silent_is_not_waited_for(serve: Serve, make_job: MakeJob):
    with serve("stall") as server:
        result = await run(make_job(server.url, deadline=60.0, silence_s=0.3))
    assert {record.error for record in result.records[:3]} == {"nothing came for 0.3 s"}
    assert outcomes(result)[Outcome.CANCELLED] == len(result.records)
    assert result.duration < 5


async def test_a_trace_is_replayed_on_its_own_clock(serve: Serve, make_job: MakeJob, tmp_path: Path):
    rows = [{"timestamp": at, "input_length": 5 + at, "output_length": 3} for at in (0, 40, 200)]
    (tmp_path / "trace.jsonl").write_text("\n".join(map(json.dumps, rows)))
    trace = {"trace": {"file": str(tmp_path / "trace.jsonl"), "format": "mooncake"}}
    with serve() as server:
        result = await run(make_job(server.url, TraceArrivals(speed=2.0), requests=9, workload=trace))
        prompts = [len(request["body"]["prompt"]) for request in server.requests()]
    assert [record.scheduled_at for record in result.records] == pytest.approx([0.0, 0.02, 0.1])
    assert prompts == [5, 45, 205]


async def test_tls_is_checked_against_the_system_s_certificates(
    serve: Serve, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    authority = trustme.CA()
    certificate, trusted = tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(trusted)
    with serve(certificate=certificate) as server:
        refused = await run(make_job(server.url))
        assert outcomes(refused) == {Outcome.REFUSED: 6}
        assert all("certificate" in record.error for record in refused.records)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert outcomes(await run(make_job(server.url))) == {Outcome.OK: 6}


async def test_a_session_in_its_pause_at_the_deadline_is_not_taken_for_a_completed_one(serve: Serve, make_job: MakeJob):
    chain = [CHAIN[0], CHAIN[1] | {"before": 30}, CHAIN[2]]
    with serve() as server:
        result = await run(make_job(server.url, requests=3, deadline=0.5, workload={"chain": chain}))
    assert outcomes(result) == {Outcome.OK: 3, Outcome.CANCELLED: 3}
    cut = [record for record in result.records if record.outcome is Outcome.CANCELLED]
    assert {(record.label, record.error) for record in cut} == {("answer", "not sent within 0.5 s")}
    assert all(record.scheduled_at > 30 and math.isnan(record.sent_at) for record in cut)


async def test_calls_without_a_pause_are_due_at_the_end_of_the_one_before(serve: Serve, make_job: MakeJob):
    with serve() as server:
        result = await run(make_job(server.url, requests=3, workload={"chain": [CHAIN[0], CHAIN[2]]}))
    for number in range(3):
        first, second = [record for record in result.records if record.session == number]
        assert first.scheduled_at == first.sent_at
        assert second.scheduled_at == first.finished_at
        assert second.sent_at >= second.scheduled_at


async def test_a_user_begins_the_next_session_after_all_work_of_the_last(serve: Serve, make_job: MakeJob):
    chain = [CHAIN[0], {"name": "delivery", "before": "80ms"}]
    with serve() as server:
        result = await run(make_job(server.url, ClosedLoop(concurrency=1), requests=3, workload={"chain": chain}))
    gaps = [after.sent_at - before.finished_at for before, after in pairwise(result.records)]
    assert all(0.08 <= gap < 0.2 for gap in gaps)


async def test_requests_without_a_connection_at_the_deadline_are_accounted_for(make_job: MakeJob):
    """The kernel completes seventeen connections for a server that accepts none, and lets the others wait."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(16)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        result = await run(make_job(url, ConstantArrivals(rate=100.0), requests=30, deadline=0.6))
    assert outcomes(result) == {Outcome.CANCELLED: 30}
    assert {record.error for record in result.records} == {
        "still running after 0.6 s",
        "no connection yet; still running after 0.6 s",
    }


async def test_sends_that_go_on_don_t_hide_a_server_that_fell_silent(serve: Serve, make_job: MakeJob):
    with serve(first_ms=60_000) as server:
        job = make_job(server.url, ConstantArrivals(rate=50.0), requests=1000, deadline=60.0, silence_s=0.4)
        result = await run(job)
    assert result.duration < 5
    assert outcomes(result) == {Outcome.CANCELLED: 1000}
    assert {record.error for record in result.records} == {
        "nothing came for 0.4 s",
        "not sent: nothing came for 0.4 s",
    }


async def test_where_requests_end_after_a_time_those_that_never_began_leave_no_record(serve: Serve, make_job: MakeJob):
    with serve("stall") as server:
        result = await run(make_job(server.url, requests=5000, deadline=0.5, send_for_s=0.2))
    assert outcomes(result) == {Outcome.CANCELLED: 3}


async def test_a_mix_s_records_name_their_class_and_shared_prefixes_are_the_same_for_every_seed(
    serve: Serve, make_job: MakeJob
):
    classes = [
        {"name": "chat", "weight": 1, "input_tokens": 4, "output_tokens": 3, "prefix": {"tokens": 6}},
        {"name": "code", "weight": 1, "input_tokens": 9, "output_tokens": 5},
    ]
    with serve() as server:
        result = await run(make_job(server.url, requests=20, workload={"classes": classes}))
        again = make_job(server.url, requests=20, workload={"classes": classes}).model_copy(update={"seed": 8})
        await run(again)
        prompts = [request["body"]["prompt"] for request in server.requests()]
    assert {(record.label, record.requested_tokens) for record in result.records} == {("chat", 3), ("code", 5)}
    assert {record.session for record in result.records} == {-1}
    assert len({tuple(prompt[:6]) for prompt in prompts if len(prompt) == 10}) == 1
    assert len({tuple(prompt) for prompt in prompts}) == 40
