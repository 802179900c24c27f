"""vLLM's own KV cache arithmetic, run by an interpreter that has vLLM: cases as JSON on stdin, answers on stdout.

A case is a model's layers and an engine's settings; the specs are built the way vLLM's layers build theirs
(`get_kv_cache_spec`), then its own functions align, group, count. No server, no weights, no GPU. Nothing of the tuner
is imported: this is the judge.

Usage: PYTHON-WITH-VLLM judge.py <CASES
"""

# pyright: basic, reportMissingImports=false
# The project's own environment has neither vLLM nor torch.

import json
import logging
import sys
from types import SimpleNamespace
from typing import Any

import torch
from vllm.platforms.interface import Platform
from vllm.v1.attention.backend import MultipleOf
from vllm.v1.core import kv_cache_utils
from vllm.v1.kv_cache_interface import (
    ChunkedLocalAttentionSpec,
    FullAttentionSpec,
    MambaSpec,
    MLAAttentionSpec,
    SlidingWindowSpec,
)
from vllm.v1.kv_cache_layout import KVCacheLayout

DTYPES = {"auto": torch.bfloat16, "bfloat16": torch.bfloat16, "float32": torch.float32, "fp8": torch.uint8}


class CacheConfig(SimpleNamespace):
    """The fields that the functions read."""

    def get_resolved_kv_cache_layout(self) -> KVCacheLayout:
        """Return the layout of FlashAttention and its like."""
        return KVCacheLayout.LBNHC


def config(case: dict[str, Any]) -> Any:
    """Return a stand-in for vLLM's configuration."""
    cache = CacheConfig(
        block_size=case["block_size"],
        cache_dtype="auto" if case["kv_cache_dtype"] == "auto" else case["kv_cache_dtype"],
        num_gpu_blocks_override=None,
        prefix_cache_retention_interval=None,
        mamba_cache_mode="align" if case["prefix_caching"] else "none",
        mamba_block_size=None,
        mamba_page_size_padded=None,
        kv_cache_dtype_skip_layers=None,
    )
    first = next((layer for layer in case["layers"] if "kv_heads" in layer), {"kv_heads": 1, "head_dim": 1})
    latent = next((layer for layer in case["layers"] if layer["type"] == "latent"), None)
    return SimpleNamespace(
        cache_config=cache,
        model_config=SimpleNamespace(
            max_model_len=case["max_model_len"],
            original_max_model_len=case["max_model_len"],
            dtype=torch.bfloat16,
            use_mla=latent is not None,
            architecture="Stub",
            get_num_kv_heads=lambda _: 1 if latent else max(1, first["kv_heads"] // case["tensor_parallel"]),
            get_head_size=lambda: latent["latent_dim"] if latent else first["head_dim"],
        ),
        parallel_config=SimpleNamespace(decode_context_parallel_size=1, tensor_parallel_size=case["tensor_parallel"]),
        scheduler_config=SimpleNamespace(disable_hybrid_kv_cache_manager=False),
        attention_config=SimpleNamespace(hisparse_config=None),
        speculative_config=None,
        max_in_flight_tokens=case["in_flight"],
        num_prefill_lookahead_tokens=0,
    )


def state_shapes(
    layer: dict[str, Any], tensor_parallel: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[torch.dtype, ...]]:
    """Return a state-space layer's two states on one GPU."""
    shapes = (
        (-(-layer["conv_elements"] // tensor_parallel),),
        (-(-layer["state_elements"] // tensor_parallel),),
    )
    return shapes, (torch.bfloat16, torch.float32 if layer.get("state_bytes") == 4 else torch.bfloat16)


def align(vllm: Any, case: dict[str, Any]) -> None:
    """Let vLLM enlarge attention's blocks to hold a state, as it does for hybrid models."""
    states = [layer for layer in case["layers"] if layer["type"] == "state"]
    if not states or len(states) == sum(layer["type"] != "none" for layer in case["layers"]):
        return
    shapes, dtypes = state_shapes(states[0], case["tensor_parallel"])

    class Model:
        get_mamba_state_shape_from_config = staticmethod(lambda _: shapes)
        get_mamba_state_dtype_from_config = staticmethod(lambda _: dtypes)

    class Backend:
        get_supported_kernel_block_sizes = staticmethod(lambda: [MultipleOf(case["kernel_block"])])
        customize_spec = staticmethod(lambda spec: spec)

    class Here(Platform):
        _find_non_ssm_backends = staticmethod(lambda _: [Backend])

    from contextlib import nullcontext  # noqa: PLC0415

    import vllm.config.vllm as settings  # noqa: PLC0415  # only for hybrid cases
    from vllm.model_executor import models  # noqa: PLC0415

    models.ModelRegistry = SimpleNamespace(resolve_model_cls=lambda *_, **__: (Model, "Stub"))
    settings.set_current_vllm_config = lambda _: nullcontext()
    Here._align_hybrid_block_size(vllm, Backend)


def specs(vllm: Any, case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each pipeline stage's specs by layer."""
    tensor_parallel, dtype = case["tensor_parallel"], DTYPES[case["kv_cache_dtype"]]
    block = vllm.cache_config.block_size
    stages: list[dict[str, Any]] = [{} for _ in case["stages"]]
    for index, layer in enumerate(case["layers"]):
        stage = next(place for place, (begin, end) in enumerate(case["stages"]) if begin <= index < end)
        common = {"block_size": block, "dtype": dtype}
        if "kv_heads" in layer:
            common |= {
                "num_kv_heads": max(1, layer["kv_heads"] // tensor_parallel),
                "head_size": layer["head_dim"],
                "head_size_v": layer["value_dim"],
            }
        match layer["type"]:
            case "full":
                spec: Any = FullAttentionSpec(**common)
            case "sliding":
                spec = SlidingWindowSpec(**common, sliding_window=layer["window"])
            case "chunked":
                del common["head_size_v"]
                spec = ChunkedLocalAttentionSpec(**common, attention_chunk_size=layer["chunk"])
            case "latent":
                # A sparse latent in 8 bits is DeepSeek's own packed layout.
                packed = 656 if layer["index_dim"] and case["kv_cache_dtype"] == "fp8" else None
                spec = MLAAttentionSpec(
                    **common, num_kv_heads=1, head_size=layer["latent_dim"], state_content_bytes=packed
                )
            case "state":
                shapes, dtypes = state_shapes(layer, tensor_parallel)
                spec = MambaSpec(
                    shapes=shapes,
                    dtypes=dtypes,
                    block_size=block if case["prefix_caching"] else case["max_model_len"],
                    page_size_padded=vllm.cache_config.mamba_page_size_padded,
                    mamba_cache_mode=vllm.cache_config.mamba_cache_mode,
                    num_prefill_checkpoint_blocks=layer["checkpoints"],
                )
            case _:
                continue
        stages[stage][f"model.layers.{index}"] = spec
        if layer.get("index_dim"):
            index_dim = layer["index_dim"] + layer["index_dim"] // 128 * 4
            stages[stage][f"model.layers.{index}.index"] = MLAAttentionSpec(
                block_size=block, num_kv_heads=1, head_size=index_dim, dtype=torch.uint8
            )
    return stages


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Return what vLLM makes of a case: tokens logged, blocks, groups, or why it refuses."""
    vllm = config(case)
    align(vllm, case)
    stages = specs(vllm, case)
    available = [case["bytes_per_gpu"]] * len(stages)
    try:
        configs = kv_cache_utils.get_kv_cache_configs(vllm, stages, available)
    except ValueError as error:
        return {"refused": str(error)}
    scheduler = kv_cache_utils.generate_scheduler_kv_cache_config(configs)
    tokens, _ = kv_cache_utils.get_kv_cache_capacity(vllm, scheduler)
    return {"tokens": tokens, "blocks": scheduler.num_blocks, "groups": len(scheduler.kv_cache_groups)}


def main() -> None:
    """Answer every case."""
    logging.disable(logging.WARNING)
    json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
