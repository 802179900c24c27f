"""The KV cache's arithmetic against vLLM's own functions, over many layouts: no server, no weights, one interpreter."""

import json
import subprocess
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.shapes import cpu, full, make_device, make_model, sliding, state
from tests.fakes.workbench import ROOT
from tuner.domain.model import CacheLayer, ChunkedAttention, LatentAttention, NoCache
from tuner.domain.plan import Deployment
from tuner.plan.defaults import Engine, resolve
from tuner.plan.kv import CacheLayout, cache_layout, stage_bounds

pytestmark = pytest.mark.vllm

JUDGE = ROOT / "tests" / "benchmarks" / "plan" / "judge.py"
MEMORY = 17_000_000_000
LATENT = LatentAttention(latent_dim=576)
SPARSE = LatentAttention(latent_dim=576, index_dim=128)
CHUNKED = ChunkedAttention(kv_heads=8, head_dim=128, value_dim=128, chunk=8192)

LAYOUTS: dict[str, tuple[CacheLayer, ...]] = {
    "llama": (full(),) * 32,
    "mistral": (sliding(4096),) * 32,
    "gemma 2": (sliding(4096), full()) * 21,
    "gemma 3": ((sliding(1024, 16),) * 5 + (full(16),)) * 10 + (sliding(1024, 16),) * 2,
    "gemma 4": ((sliding(1024, 8, 256),) * 5 + (full(4, 512),)) * 8,
    "gpt-oss": (sliding(128, 8, 64), full(8, 64)) * 12,
    "one full layer more": (sliding(128), full()) * 12 + (full(),),
    "more full than windows": (sliding(1024),) * 7 + (full(),) * 11,
    "llama 4": ((CHUNKED,) * 3 + (full(),)) * 12,
    "windows of two lengths": (sliding(512), sliding(1024)) * 9,
    "pages that don't divide": ((sliding(512, 3, 96),) * 4 + (full(4),)) * 5,
    "heads of three sizes": (full(8), full(4), full(2)) * 8,
    "deepseek": (LATENT,) * 27,
    "deepseek with an index": (SPARSE,) * 61,
    "latents beside windows": (LATENT, sliding(1024, 8, 96)) * 9,
    "mamba": (state(),) * 64,
    "jamba": ((state(),) * 3 + (full(),) + (state(),) * 4) * 4,
    "nemotron": (state(checkpoints=1), NoCache(), state(checkpoints=1), full(), NoCache()) * 6,
    "two kinds of states": (state(checkpoints=1), state(), full()) * 6,
    "qwen3-next": ((state(32_768, 128 * 128 * 32, 4),) * 3 + (full(2, 256),)) * 12,
    "kimi linear": ((state(36_864, 128 * 128 * 32),) * 3 + (LATENT,)) * 7,
    "falcon h1": (state(), full()) * 10,
}
SPLITS = ((1, 1), (2, 1), (4, 2), (1, 3))
SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"kv_cache_dtype": dtype, "max_model_len": length, "max_num_batched_tokens": batched, "prefix_caching": prefixes}
    for dtype, length, batched, prefixes in [
        ("auto", 1000, 2048, True),
        ("auto", 1000, 8192, False),
        ("auto", 131_072, 2048, False),
        ("auto", 131_072, 8192, True),
        ("fp8", 8192, 2048, True),
        ("fp8", 131_072, 8192, False),
    ]
)


def cases() -> Iterator[tuple[str, dict[str, Any], CacheLayout]]:
    for (name, layers), (tensor, pipeline), settings in product(LAYOUTS.items(), SPLITS, SETTINGS):
        model = make_model(layers)
        split = {"tensor_parallel": tensor, "pipeline_parallel": pipeline}
        deployment = Deployment.model_validate(settings | split)
        for device in (make_device(), cpu()):
            engine = resolve(model, device, deployment)
            case = {
                "layers": [_described(layer, engine) for layer in layers],
                "stages": list(pairwise(stage_bounds(len(layers), pipeline))),
                "tensor_parallel": tensor,
                "in_flight": engine.tokens_in_flight,
                "block_size": engine.block_size,
                "kernel_block": engine.kernel_block,
                "bytes_per_gpu": MEMORY,
                **settings,
                "prefix_caching": engine.prefix_caching,
            }
            yield f"{name}, {split}, {settings}, {device.name}", case, cache_layout(model, engine)


def _described(layer: CacheLayer, engine: Engine) -> dict[str, Any]:
    """A layer as the judge reads it; what the platform decides about a state is the server test's to judge."""
    fields = layer.model_dump()
    return (
        fields | {"state_bytes": fields["state_bytes"] or engine.recurrent_bytes} if "state_bytes" in fields else fields
    )


def judge(python: Path, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [python, JUDGE], input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(case: dict[str, Any], layout: CacheLayout) -> dict[str, Any]:
    memory = [MEMORY] * len(case["stages"])
    if not layout.holds(memory, case["max_model_len"]):
        return {"refused": True}
    blocks = layout.blocks(memory)
    return {"tokens": layout.tokens(blocks), "blocks": blocks, "groups": len(layout.groups)}


def test_tokens_blocks_groups_and_refusals_are_vllms_to_the_last_one(vllm_python: Path):
    asked = list(cases())
    answers = judge(vllm_python, [case for _, case, _ in asked])
    wrong = [
        (name, ours(case, layout), answer)
        for (name, case, layout), answer in zip(asked, answers, strict=True)
        if ours(case, layout) != ({"refused": True} if "refused" in answer else answer)
    ]
    assert len(asked) > 1000
    assert wrong[:5] == []
