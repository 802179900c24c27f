"""A measurement of a running server, as JSON and for people."""

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from tests.fakes.builders import make_point
from tuner.cli.bench_record import bench_record
from tuner.cli.bench_view import print_bench, print_benches, workload_text
from tuner.domain.arrivals import ClosedLoop
from tuner.domain.bench import Bench
from tuner.domain.lengths import FixedLength, UniformLength
from tuner.domain.load import Outcome, RequestRecord
from tuner.domain.measurement import (
    Distribution,
    LoadPoint,
    Reconciliation,
    ServerFigures,
    SessionFigures,
    StepFigures,
)
from tuner.domain.slo import parse_slo
from tuner.domain.workload import ChainStep, Conversation, RequestClass, Trace, TraceFormat, Workload

SOME = Distribution(count=3, mean=0.02, p50=0.02)
AGREED = Reconciliation(
    client_requests=100,
    server_requests=100,
    client_prompt_tokens=51200,
    server_prompt_tokens=51200,
    client_output_tokens=12800,
    server_output_tokens=12800,
    client_ttft_mean=0.05,
    server_ttft_mean=0.048,
)
SERVER = ServerFigures(running_mean=3.5, running_max=8, preemptions=0, prefix_cache_hit_rate=0.0, ttft_mean=0.048)
LENGTH = FixedLength(tokens=8)


def make_bench(point: LoadPoint | None = None, **changes: Any) -> Bench:
    shown = (point or make_point()).model_copy(update={"server": SERVER, "reconciliation": AGREED} | changes)
    return Bench(url="http://h", model="tiny", workload=Workload(), slos=(parse_slo("ttft_p95=500ms"),), point=shown)


def shown(bench: Bench, records: Sequence[RequestRecord] = ()) -> str:
    out = io.StringIO()
    print_bench(Console(file=out, width=160, markup=False, highlight=False), bench, records)
    return out.getvalue()


def record(first: float, outcome: Outcome = Outcome.OK, error: str = "") -> RequestRecord:
    times = (first, first + 0.01) if outcome is Outcome.OK else ()
    return RequestRecord(0.0, 0.0, times, 1.0, outcome, 8, 2, 2, error)


def test_json_has_the_keys_that_scripts_rely_on():
    found = json.loads(json.dumps(bench_record(make_bench())))
    assert found["requests"] == {"completed": 100, "failed": 0, "errors": {}}
    for latency in ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"):
        assert {"mean", "p50", "p95", "p99"} <= found[latency].keys()
    assert found["ttft_ms"]["p95"] == pytest.approx(100)
    assert found["ttft_ms"]["p99"] is None
    assert found["throughput"] == {"requests_per_s": 2.0, "output_tokens_per_s": 64.0, "input_tokens_per_s": 256.0}
    assert found["goodput_rps"] == 2.0
    assert found["client"]["cpu_s"] == 1.0
    assert found["client"]["cpu_us_per_token"] == pytest.approx(1e6 / 12800)
    assert found["client"]["lateness_ms"]["p99"] == pytest.approx(1.0)
    assert found["client"]["valid"] is True
    assert found["slos"] == [
        {"slo": "ttft_p95", "limit_ms": 500.0, "value_ms": pytest.approx(100), "met": True},
    ]
    assert found["server"]["ttft_mean_ms"] == pytest.approx(48)
    assert found["reconciliation"]["output_tokens"] == {"client": 12800, "server": 12800}
    assert (found["sessions"], found["steps"]) == (None, [])


def test_json_of_a_server_without_metrics_has_null():
    found = bench_record(make_bench(server=ServerFigures(), reconciliation=None))
    assert found["server"] is None
    assert found["reconciliation"] is None
    assert found["client"]["cpu_us_per_token"] is None


def test_json_tells_sessions_steps_and_an_invalid_client():
    sessions = SessionFigures(completed=3, failed=0, duration=SOME, calls_mean=2.0, idle_share=0.25)
    step = StepFigures(label="generate", completed=3, failed=0, ttft=SOME, tpot=SOME, e2e=SOME)
    found = bench_record(make_bench(make_point(sessions=sessions, steps=(step,), invalid=("too slow",))))
    assert found["sessions"]["duration_ms"]["mean"] == pytest.approx(20)
    assert found["sessions"]["idle_share"] == 0.25
    assert found["steps"][0]["label"] == "generate"
    assert (found["client"]["valid"], found["client"]["invalid"]) == (False, ["too slow"])


def test_people_see_latencies_client_server_and_histograms():
    text = shown(make_bench(), [record(0.0205), record(0.0232)])
    assert "100 requests completed · 0 failed" in text
    assert "TTFT from sending" in text
    assert "goodput     2.00 requests/s within ttft_p95 ≤ 500 ms" in text
    assert "SLOs        met" in text
    assert "client      valid" in text
    assert "server      running 3.5 mean, 8 max" in text
    assert "agreement   client and server counted the same requests and tokens" in text
    assert "  20.5 ms – 21.0 ms  1 █" in text


def test_under_closed_loop_there_is_no_lateness_to_show():
    text = shown(make_bench(make_point(arrivals=ClosedLoop(concurrency=4))))
    assert "from sending  " not in text
    assert "late by" not in text


def test_what_is_wrong_is_shown():
    point = make_point(met=False, invalid=("the client used 99% of a core",), tokens_per_event=1.8)
    wrong = AGREED.model_copy(update={"mismatches": ("output tokens: the client counted 1, the server 2",)})
    text = shown(make_bench(point, reconciliation=wrong))
    assert "SLOs        broken: ttft_p95 900 ms > 500 ms" in text
    assert "client      invalid" in text
    assert "            the client used 99% of a core" in text
    assert "1.80 tokens per event" in text
    assert "mismatch    output tokens: the client counted 1, the server 2" in text


def test_reasons_of_failures_are_counted():
    failures = [record(0.0, Outcome.HTTP_ERROR, f"HTTP 50{number % 5}") for number in range(11)]
    text = shown(make_bench(make_point(completed=0, failed=11, errors={"http_error": 11})), failures)
    assert "0 requests completed · 11 failed (11 http_error)" in text
    assert "  3 × HTTP 500" in text
    assert "  and 2 more reasons" in text
    assert "TTFT" not in text


def test_sessions_and_steps_are_shown():
    sessions = SessionFigures(
        completed=3, failed=1, duration=SOME, calls_mean=2.0, idle_share=0.25, idle_share_one_user=0.4
    )
    step = StepFigures(label="generate", completed=3, failed=0, ttft=SOME, tpot=SOME, e2e=SOME)
    text = shown(make_bench(make_point(sessions=sessions, steps=(step,))))
    assert "sessions    3 completed, 1 failed · 2.0 calls each" in text
    assert "idle        the engine had nothing to do 25% of the time · 40% for a single user" in text
    assert "generate" in text


def test_a_list_of_measurements_has_a_line_each():
    out = io.StringIO()
    print_benches(Console(file=out, width=200), [(1, make_bench()), (2, make_bench(make_point(invalid=("slow",))))])
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1", "2"]
    assert lines[3].split()[-1] == "invalid"


@pytest.mark.parametrize(
    ("workload", "text"),
    [
        (Workload(), "512 + 128 tokens"),
        (Workload(output_tokens=UniformLength(type="uniform", low=2, high=9)), "512 + ≤9 tokens"),
        (Workload(conversation=Conversation(turns=LENGTH)), "conversations of 512 + 128 tokens a turn"),
        (
            Workload(chain=(ChainStep(name="plan"), ChainStep(name="say", input_tokens=LENGTH, output_tokens=LENGTH))),
            "chain of plan → say",
        ),
        (
            Workload(classes=(RequestClass(name="chat", weight=1.0, input_tokens=LENGTH, output_tokens=LENGTH),)),
            "mix of chat",
        ),
        (Workload(trace=Trace(file="day.csv", format=TraceFormat.AZURE)), "azure trace day.csv"),
    ],
)
def test_a_workload_in_a_few_words(workload: Workload, text: str):
    assert workload_text(workload) == text
