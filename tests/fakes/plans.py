"""Builders of models, GPUs and plans for tests: round figures, each test names what it is about."""

from typing import Any

from tuner.domain.device import Device
from tuner.domain.model import FullAttention, ModelShape, Weights, WeightUse
from tuner.domain.plan import Basis, Demand, Deployment, MemoryItem, Plan, Range, Suggested, Suggestion
from tuner.study.plan import Planned

GIB = 2**30


def make_model(**changes: Any) -> ModelShape:
    """A dense model of a billion parameters, 16 layers of 8 KV heads."""
    values: dict[str, Any] = {
        "name": "org/dense-1b",
        "architecture": "LlamaForCausalLM",
        "family": "dense, grouped-query attention",
        "dtype": "bfloat16",
        "layers": (FullAttention(kv_heads=8, head_dim=64, value_dim=64),) * 16,
        "weights": (
            Weights(use=WeightUse.EMBEDDING, parameters=200_000_000, bytes=400_000_000, read=0.0),
            Weights(use=WeightUse.ATTENTION, parameters=200_000_000, bytes=400_000_000),
            Weights(use=WeightUse.MLP, parameters=600_000_000, bytes=1_200_000_000),
        ),
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "heads": 32,
        "vocabulary": 100_000,
        "max_length": 8192,
    }
    return ModelShape.model_validate(values | changes)


def make_device(**changes: Any) -> Device:
    """A GPU of 80 GiB."""
    values: dict[str, Any] = {
        "name": "big",
        "title": "Vendor Big GPU",
        "vendor": "nvidia",
        "memory_bytes": 80 * GIB,
        "bandwidth": 2e12,
        "bf16_flops": 300e12,
        "capability": "9.0",
        "sources": ("made up",),
    }
    return Device.model_validate(values | changes)


def make_plan(**changes: Any) -> Plan:
    """A plan of that model on that GPU, in round figures."""
    values: dict[str, Any] = {
        "model": "org/dense-1b",
        "device": "big",
        "gpus": 1,
        "fits": True,
        "memory": (
            MemoryItem(name="GPU memory", bytes=80 * GIB, basis=Basis.COMPUTED, why="1 x 80 GiB"),
            MemoryItem(name="weights", bytes=2 * GIB, basis=Basis.MEASURED, why="as vLLM logged them"),
            MemoryItem(name="activations", bytes=GIB, basis=Basis.ASSUMED, why="a rule of thumb"),
            MemoryItem(name="KV cache", bytes=77 * GIB, basis=Basis.COMPUTED, why="what the lines above leave"),
        ),
        "weights_bytes": 3_000_000_000,
        "kv_bytes_per_token": 32768.0,
        "kv_bytes_per_sequence": 18 * 2**20,
        "kv_budget_bytes": 77 * GIB,
        "kv_tokens": 2_523_136,
        "max_sequences": 4380,
        "prefill_floor_s": 0.0033,
        "decode_floor_s": 0.001,
        "expected_rps": Range(low=25.0, high=100.0),
        "binding": "compute: prompts take 60% of the time",
        "suggested": Suggested(
            max_num_seqs=Suggestion(value=40, why="ten requests a second of two seconds each"),
            max_num_batched_tokens=Suggestion(value=8192, why="sixteen prompts"),
        ),
    }
    return Plan.model_validate(values | changes)


def planned(device: Device | None = None, demand: Demand | None = None, **plan: Any) -> Planned:
    """A plan with what it was made from."""
    return Planned(
        model=make_model(),
        device=device or make_device(),
        deployment=Deployment(),
        demand=demand or Demand(),
        plan=make_plan(**plan),
    )
