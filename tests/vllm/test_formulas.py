"""Our figures against those of `vllm bench serve` itself, computed by the installed vLLM from identical records."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuner.domain.arrivals import ClosedLoop
from tuner.domain.load import ClientHealth, LoadResult, Outcome, RequestRecord
from tuner.domain.slo import parse_slo
from tuner.metrics.distributions import NEEDED
from tuner.metrics.summary import summarise

pytestmark = pytest.mark.vllm

REQUESTS = 600
FAILED = 40
SECONDS = 90.0
GOODPUT = {"ttft": 300.0, "tpot": 25.0, "e2el": 1500.0}
"""Milliseconds, as `--goodput` takes them."""

VLLM = """
import contextlib, dataclasses, json, sys
from vllm.benchmarks.lib.endpoint_request_func import RequestFuncOutput
from vllm.benchmarks.serve import calculate_metrics
asked = json.load(sys.stdin)
with contextlib.redirect_stdout(sys.stderr):
    metrics, _ = calculate_metrics(
        input_requests=[],
        outputs=[RequestFuncOutput(**output) for output in asked["outputs"]],
        dur_s=asked["seconds"],
        tokenizer=None,
        selected_percentiles=[50.0, 90.0, 95.0, 99.0],
        goodput_config_dict=asked["goodput"],
    )
print(json.dumps(dataclasses.asdict(metrics), default=float))
"""


def make_records() -> list[RequestRecord]:
    """Closed-loop records: sent when meant to. Some of one token, some of several tokens an event, some failed."""
    draw = np.random.default_rng(20260101)
    made: list[RequestRecord] = []
    for number in range(REQUESTS):
        start = float(draw.uniform(0, SECONDS - 10))
        events = 1 if number % 50 == 0 else int(draw.integers(2, 80))
        gaps = np.concatenate((draw.gamma(2, 0.1, 1), draw.gamma(4, 0.005, events - 1)))
        times = tuple((start + np.cumsum(gaps)).tolist())
        tokens = events * 2 if number % 7 == 0 else events
        failed = number < FAILED
        made.append(
            RequestRecord(
                scheduled_at=start,
                sent_at=start,
                event_times=times[: events // 2] if failed else times,
                finished_at=times[-1],
                outcome=Outcome.CUT if failed else Outcome.OK,
                input_tokens=100 + number,
                output_tokens=0 if failed else tokens,
                requested_tokens=tokens,
            )
        )
    return made


def as_vllm_sees(record: RequestRecord) -> dict[str, Any]:
    """Return what vLLM's client would have noted (`async_request_openai_completions`)."""
    times = record.event_times
    if record.outcome is not Outcome.OK:
        return {"success": False, "error": "cut", "start_time": record.sent_at, "prompt_len": record.input_tokens}
    return {
        "success": True,
        "start_time": record.sent_at,
        "prompt_len": record.input_tokens,
        "output_tokens": record.output_tokens,
        "ttft": times[0] - record.sent_at,
        "itl": np.diff(times).tolist(),
        "latency": times[-1] - record.sent_at,
    }


def vllm_metrics(python: Path, records: list[RequestRecord]) -> dict[str, Any]:
    asked = {"outputs": list(map(as_vllm_sees, records)), "seconds": SECONDS, "goodput": GOODPUT}
    done = subprocess.run([python, "-c", VLLM], input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_figure_equals_vllm_own(vllm_python: Path):
    records = make_records()
    theirs = vllm_metrics(vllm_python, records)
    slos = [parse_slo("ttft_p95=300ms"), parse_slo("tpot_p95=25ms"), parse_slo("e2e_p95=1500ms")]
    health = ClientHealth(cpu_s=1, cpu_share=0.1, lateness_p99=0, loop_lag_max=0)
    ours = summarise(LoadResult(0.0, SECONDS, tuple(records), health), ClosedLoop(concurrency=8), slos)

    assert (ours.completed, ours.failed) == (theirs["completed"], theirs["failed"]) == (REQUESTS - FAILED, FAILED)
    assert ours.achieved_rps == pytest.approx(theirs["request_throughput"])
    assert ours.output_tokens_per_s == pytest.approx(theirs["output_throughput"])
    assert ours.input_tokens_per_s == pytest.approx(theirs["total_input"] / SECONDS)
    assert 0 < ours.goodput_rps < ours.achieved_rps
    assert ours.goodput_rps == pytest.approx(theirs["request_goodput"])
    for name, found in {"ttft": ours.ttft, "tpot": ours.tpot, "itl": ours.itl, "e2el": ours.e2e}.items():
        assert found.mean is not None
        assert found.mean * 1e3 == pytest.approx(theirs[f"mean_{name}_ms"])
        assert found.count >= max(NEEDED.values())
        mine = [found.p50, found.p90, found.p95, found.p99]
        assert [value * 1e3 for value in mine if value is not None] == pytest.approx(
            [value for _, value in theirs[f"percentiles_{name}_ms"]]
        )
