"""Builders of model shapes and devices for tests of the planner: everything has a default, each test names its own."""

from collections.abc import Sequence
from typing import Any

from tuner.domain.device import Device
from tuner.domain.model import (
    CacheLayer,
    FullAttention,
    ModelShape,
    SlidingAttention,
    StateSpace,
    Weights,
    WeightUse,
)

GIB = 1 << 30


def full(kv_heads: int = 8, head_dim: int = 128) -> FullAttention:
    """Keys and values of every token."""
    return FullAttention(kv_heads=kv_heads, head_dim=head_dim, value_dim=head_dim)


def sliding(window: int, kv_heads: int = 8, head_dim: int = 128) -> SlidingAttention:
    """Those of the last tokens."""
    return SlidingAttention(kv_heads=kv_heads, head_dim=head_dim, value_dim=head_dim, window=window)


def state(
    conv: int = 36_864, recurrent: int = 524_288, state_bytes: int | None = None, checkpoints: int = 0
) -> StateSpace:
    """A state of fixed size."""
    return StateSpace(conv_elements=conv, state_elements=recurrent, state_bytes=state_bytes, checkpoints=checkpoints)


def make_weights(**parameters: int) -> tuple[Weights, ...]:
    """Two-byte weights by use: `attention=10`, `mlp=20`."""
    return tuple(
        Weights(
            use=WeightUse(use),
            parameters=count,
            bytes=2 * count,
            read=0.0 if use == WeightUse.EMBEDDING else 1.0,
        )
        for use, count in parameters.items()
    )


LLAMA_8B_WEIGHTS = make_weights(
    embedding=128_256 * 4096,
    attention=32 * 2 * 4096 * 4096,
    kv_projection=32 * 2 * 4096 * 1024,
    mlp=32 * 3 * 4096 * 14_336,
    replicated=65 * 4096,
    head=128_256 * 4096,
)
LLAMA_70B_WEIGHTS = make_weights(
    embedding=128_256 * 8192,
    attention=80 * 2 * 8192 * 8192,
    kv_projection=80 * 2 * 8192 * 1024,
    mlp=80 * 3 * 8192 * 28_672,
    replicated=161 * 8192,
    head=128_256 * 8192,
)


def make_model(layers: Sequence[CacheLayer] = (full(),) * 32, **changes: Any) -> ModelShape:
    """An 8-billion Llama 3."""
    values: dict[str, Any] = {
        "name": "llama-8b",
        "architecture": "LlamaForCausalLM",
        "family": "dense, grouped-query attention",
        "dtype": "bfloat16",
        "layers": tuple(layers),
        "weights": LLAMA_8B_WEIGHTS,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "heads": 32,
        "vocabulary": 128_256,
        "max_length": 131_072,
    }
    return ModelShape.model_validate(values | changes)


def llama_70b(**changes: Any) -> ModelShape:
    """A 70-billion Llama 3."""
    sizes = {"hidden_size": 8192, "intermediate_size": 28_672, "heads": 64, "weights": LLAMA_70B_WEIGHTS}
    return make_model((full(),) * 80, **({"name": "llama-70b"} | sizes | changes))


def make_device(**changes: Any) -> Device:
    """An H100 as CUDA reports it."""
    values: dict[str, Any] = {
        "name": "h100-sxm",
        "title": "NVIDIA H100 SXM",
        "vendor": "nvidia",
        "memory_bytes": round(79.18 * GIB),
        "bandwidth": 3.35e12,
        "bf16_flops": 989e12,
        "fp8_flops": 1979e12,
        "capability": "9.0",
        "sources": ("a test",),
    }
    return Device.model_validate(values | changes)


def a100() -> Device:
    """An A100 of 80 GB."""
    return make_device(
        name="a100-80gb",
        title="NVIDIA A100 80GB",
        memory_bytes=round(79.25 * GIB),
        bandwidth=2.039e12,
        bf16_flops=312e12,
        fp8_flops=None,
        capability="8.0",
    )


def cpu() -> Device:
    """A CPU of 16 GiB."""
    return make_device(
        name="cpu",
        title="a CPU",
        vendor="cpu",
        memory_bytes=16 * GIB,
        bandwidth=2e10,
        bf16_flops=1e11,
        fp8_flops=None,
        capability=None,
    )
