"""Owns the memory's sum: what is left for the KV cache of each GPU, line by line, each with where it comes from. Pure.

vLLM takes ceil(total x utilization) of a GPU, and gives the KV cache what weights, the peak of a profiling run,
CUDA graphs and whatever lies outside of torch leave of it (`determine_available_memory` in vLLM 0.32's
`v1/worker/gpu_worker.py`). Weights follow from the configuration; the peak from what the profiling run does
(`tuner.plan.activations`); the rest is a rule of thumb, fitted to what users have published. Launches measure all of
it: `Corrections`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from pydantic import Field

from tuner.domain.base import Frozen
from tuner.domain.device import Device
from tuner.domain.model import ModelShape
from tuner.domain.plan import Basis, Deployment, MemoryItem
from tuner.plan.activations import Extra, activations, graphs, outside
from tuner.plan.defaults import Engine
from tuner.plan.weights import stage_weight_bytes
from tuner.plan.words import billions, gib


class Corrections(Frozen):
    """What launches of a study have measured. Each figure takes the place of the computed line; None leaves it."""

    weights_bytes: int | None = Field(default=None, ge=0)
    """Of one GPU, as vLLM logs it: the fullest one where they differ."""
    activation_bytes_per_batched_token: float | None = Field(default=None, ge=0)
    """Of one GPU: the peak of the profiling run over `max_num_batched_tokens`."""
    fixed_bytes: int | None = Field(default=None, ge=0)
    """Of one GPU: CUDA graphs and all that lies outside of torch."""
    kv_tokens_ratio: float | None = Field(default=None, gt=0)
    """Logged KV tokens over planned ones, after the other corrections."""


NO_CORRECTIONS = Corrections()


@dataclass(frozen=True, slots=True)
class Memory:
    """The sum, and what it leaves."""

    items: tuple[MemoryItem, ...]
    stage_weights: tuple[int, ...]
    """Bytes of weights on one GPU of each pipeline stage."""
    stage_kv: tuple[int, ...]
    """Bytes for the KV cache on one GPU of each pipeline stage; negative where the rest does not fit."""


def memory(
    model: ModelShape, device: Device, deployment: Deployment, engine: Engine, corrections: Corrections
) -> Memory:
    """Return the sum for every GPU of one replica."""
    weights = _weights(model, engine, corrections)
    lines = _lines(model, device, deployment, engine, corrections)
    requested = ceil(device.memory_bytes * deployment.gpu_memory_utilization)
    left = [requested - size - sum(line.bytes for line in lines) for size in weights]
    ratio = corrections.kv_tokens_ratio or 1.0
    kv = tuple(deployment.kv_cache_memory_bytes or round(size * ratio if size > 0 else size) for size in left)
    items = (
        _whole(device, engine),
        *_unused(device, deployment, engine, requested),
        _weights_item(model, engine, weights, corrections),
        *(_item(line, engine) for line in lines),
        _kv_item(deployment, engine, kv, corrections),
    )
    return Memory(items, weights, kv)


def _weights(model: ModelShape, engine: Engine, corrections: Corrections) -> tuple[int, ...]:
    computed = stage_weight_bytes(model, engine)
    if corrections.weights_bytes is None:
        return computed
    fullest = max(computed) or 1
    return tuple(round(size * corrections.weights_bytes / fullest) for size in computed)


def _lines(
    model: ModelShape, device: Device, deployment: Deployment, engine: Engine, corrections: Corrections
) -> list[Extra]:
    """Return what one GPU needs beside weights and cache."""
    measured = corrections.activation_bytes_per_batched_token
    batched = engine.limits.max_num_batched_tokens
    if measured is None:
        peak = activations(model, engine, deployment.vllm_version)
    else:
        why = f"{measured:,.0f} bytes for each of {batched:,} tokens of a step, measured by launches of this study"
        peak = Extra("activations", round(measured * batched), Basis.MEASURED, why)
    if corrections.fixed_bytes is None:
        rest = [graphs(model, engine, deployment.vllm_version), outside(device, engine, deployment.vllm_version)]
    else:
        why = "CUDA graphs, CUDA's own memory and communication, measured by launches of this study"
        rest = [Extra("outside of torch", corrections.fixed_bytes, Basis.MEASURED, why)]
    return [peak, *(line for line in rest if line.bytes)]


def _whole(device: Device, engine: Engine) -> MemoryItem:
    what = f"{engine.gpus} x {gib(device.memory_bytes)} of {device.title}"
    return MemoryItem(
        name="GPU memory" if device.vendor != "cpu" else "memory",
        bytes=device.memory_bytes * engine.gpus,
        basis=Basis.COMPUTED,
        why=what,
    )


def _unused(device: Device, deployment: Deployment, engine: Engine, requested: int) -> list[MemoryItem]:
    unused = device.memory_bytes - requested
    if deployment.kv_cache_memory_bytes is not None or unused <= 0:
        return []
    share = 1 - deployment.gpu_memory_utilization
    why = f"{share:.0%} of it is left alone: --gpu-memory-utilization {deployment.gpu_memory_utilization:g}"
    return [MemoryItem(name="left alone", bytes=unused * engine.gpus, basis=Basis.COMPUTED, why=why)]


def _weights_item(model: ModelShape, engine: Engine, stages: Sequence[int], corrections: Corrections) -> MemoryItem:
    total = sum(stages) * engine.tensor_parallel
    if corrections.weights_bytes is not None:
        basis, why = Basis.MEASURED, "as vLLM logged them in launches of this study"
    else:
        basis = Basis.COMPUTED
        each = total / max(model.parameters, 1)
        source = "counted in the weight headers" if model.measured_weights else "counted from the configuration"
        why = f"{billions(model.parameters)} parameters x {each:.3g} bytes, {source}"
    if engine.gpus > 1:
        why += f", split over {engine.gpus} GPUs"
    return MemoryItem(name="weights", bytes=total, basis=basis, why=why)


def _item(line: Extra, engine: Engine) -> MemoryItem:
    why = line.why + (f", on each of {engine.gpus} GPUs" if engine.gpus > 1 else "")
    return MemoryItem(name=line.name, bytes=line.bytes * engine.gpus, basis=line.basis, why=why)


def _kv_item(deployment: Deployment, engine: Engine, stages: Sequence[int], corrections: Corrections) -> MemoryItem:
    basis, why = Basis.COMPUTED, "what the lines above leave"
    if deployment.kv_cache_memory_bytes is not None:
        why = f"--kv-cache-memory-bytes {deployment.kv_cache_memory_bytes:,} on each GPU"
    elif corrections.kv_tokens_ratio is not None:
        basis, why = Basis.MEASURED, f"{why}, times {corrections.kv_tokens_ratio:.3f} as launches of this study logged"
    return MemoryItem(name="KV cache", bytes=sum(stages) * engine.tensor_parallel, basis=basis, why=why)
