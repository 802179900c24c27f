"""The fake engine keeps the promises that other tests rest on: its capacity follows its flags, its streams hold."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tuner.server.launch import LaunchHandle, LaunchRequest, RunningServer

FAKE = Path(__file__).parents[2] / "fakes" / "vllm" / "python"


@asynccontextmanager
async def a_client(tmp_path: Path, seqs: int) -> AsyncGenerator[tuple[httpx.AsyncClient, RunningServer]]:
    (tmp_path / "config.json").write_text("{}")
    request = LaunchRequest(
        python=FAKE,
        entrypoint="api_server",
        model=str(tmp_path),
        flags={"max-num-seqs": seqs},
        env={"FAKE_VLLM_STEP_MS": "20", "FAKE_VLLM_STEP_EACH_MS": "0"},
        gpus=None,
        port=None,
        start_timeout=20,
        log_path=tmp_path / "log",
    )
    async with LaunchHandle(request) as handle:
        server = await handle.start()
        headers = {"Authorization": f"Bearer {server.api_key}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as client:
            yield client, server


def a_body(server: RunningServer, **extra: Any) -> dict[str, Any]:
    return {"model": server.served_name, "prompt": [1] * 8, "max_tokens": 10} | extra


@pytest.mark.parametrize(("seqs", "rounds"), [(1, 4), (2, 2), (4, 1)])
async def test_four_requests_take_as_many_rounds_as_the_slots_make(tmp_path: Path, seqs: int, rounds: int):
    async with a_client(tmp_path, seqs) as (client, server):
        began = time.monotonic()
        await asyncio.gather(*(client.post("/v1/completions", json=a_body(server)) for _ in range(4)))
        took = time.monotonic() - began

    assert rounds * 0.2 <= took < rounds * 0.2 + 0.3


async def test_a_stream_has_one_event_a_token_then_the_usage_then_the_end(tmp_path: Path):
    async with a_client(tmp_path, 4) as (client, server):
        body = a_body(server, stream=True, stream_options={"include_usage": True})
        response = await client.post("/v1/completions", json=body)
        metrics = (await client.get("/metrics")).text

    *events, last = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    chunks = [json.loads(event) for event in events]
    assert last == "[DONE]"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * 9 + ["length"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 8, "completion_tokens": 10, "total_tokens": 18}
    assert f'vllm:generation_tokens_total{{engine="0",model_name="{server.served_name}"}} 14.0' in metrics
