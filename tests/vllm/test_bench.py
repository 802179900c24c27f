"""`tuner bench` on a real vLLM that is already running. One start."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.workbench import ROOT
from tuner.domain.arrivals import ClosedLoop, ConstantArrivals
from tuner.domain.lengths import FixedLength, UniformLength
from tuner.domain.workload import Conversation, Workload
from tuner.server.launch import LaunchHandle, LaunchRequest, RunningServer
from tuner.study.bench import BenchPlan, Measured, measure

pytestmark = pytest.mark.vllm

PROMPT = UniformLength(type="uniform", low=130, high=150)
"""More than a block of the KV cache: 128 tokens on a CPU."""
WORKLOAD = Workload(input_tokens=PROMPT, output_tokens=FixedLength(tokens=8))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(vllm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RunningServer]:
    directory = tmp_path_factory.mktemp("bench")
    subprocess.run([sys.executable, ROOT / "scripts" / "make-tiny-model", directory / "tiny"], check=True)  # noqa: ASYNC221
    request = LaunchRequest(
        python=vllm_python,
        entrypoint="api_server",
        model=str(directory / "tiny"),
        flags={
            "load-format": "dummy",
            "enforce-eager": True,
            "gpu-memory-utilization": 0.3,
            "max-model-len": 160,
            "enable-prefix-caching": True,
        },
        env={"HF_HUB_OFFLINE": "1"},
        gpus=None,
        port=None,
        start_timeout=300,
        log_path=directory / "log",
    )
    handle = LaunchHandle(request)
    try:
        yield await handle.start()
    finally:
        await handle.stop()


async def benched(server: RunningServer, plan: BenchPlan) -> Measured:
    return await measure(plan, api_key=server.api_key, on_progress=lambda _done, _total: None)


@pytest.mark.asyncio(loop_scope="module")
async def test_client_and_server_agree_to_the_token_and_no_prompt_was_cached(server: RunningServer):
    plan = BenchPlan(url=server.url, workload=WORKLOAD, arrivals=ClosedLoop(concurrency=4), seed=1, requests=40)
    found = (await benched(server, plan)).bench
    told = found.point.reconciliation
    assert found.model == server.served_name
    assert (found.point.summary.completed, found.point.summary.failed) == (40, 0)
    assert told is not None
    assert told.server_requests == told.client_requests == 40
    assert told.server_prompt_tokens == told.client_prompt_tokens
    assert told.server_output_tokens == told.client_output_tokens == 40 * 8
    assert found.point.server.prefix_cache_hit_rate == 0
    assert told.client_ttft_mean is not None
    assert told.server_ttft_mean is not None
    assert told.client_ttft_mean > told.server_ttft_mean


@pytest.mark.asyncio(loop_scope="module")
async def test_a_seed_used_again_is_found_out_by_the_prefix_cache(server: RunningServer):
    plan = BenchPlan(url=server.url, workload=WORKLOAD, arrivals=ConstantArrivals(rate=10), seed=2, requests=10)
    first, again = await benched(server, plan), await benched(server, plan)
    assert first.bench.point.server.prefix_cache_hit_rate == 0
    told = again.bench.point.reconciliation
    assert told is not None
    assert any(text.startswith("prefix cache: ") for text in told.mismatches)


@pytest.mark.asyncio(loop_scope="module")
async def test_turns_of_a_conversation_are_counted_alike_on_both_sides(server: RunningServer):
    talk = Workload(
        input_tokens=FixedLength(tokens=20),
        output_tokens=FixedLength(tokens=8),
        conversation=Conversation(turns=FixedLength(tokens=3)),
    )
    plan = BenchPlan(url=server.url, workload=talk, arrivals=ClosedLoop(concurrency=2), seed=3, requests=4)
    found = (await benched(server, plan)).bench.point
    assert found.reconciliation is not None
    assert found.reconciliation.client_prompt_tokens == 4 * (20 + 48 + 76)
    assert found.reconciliation.server_prompt_tokens == 4 * (20 + 48 + 76)
    assert found.summary.sessions is not None
    assert (found.summary.sessions.completed, found.summary.sessions.calls_mean) == (4, 3.0)
    assert [step.label for step in found.summary.steps] == ["turn 1", "turn 2", "turn 3"]
