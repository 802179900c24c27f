"""Owns what a GPU needs beside weights and cache: the peak of vLLM's profiling run, CUDA graphs, CUDA itself. Pure.

The profiling run is one step of `max_num_batched_tokens` tokens and the sampling of `max_num_seqs` sequences after it
(`profile_run`). Both peaks are modelled from the tensors that live at a time; the factors are fitted to the figures
that users have published for vLLM 0.8 to 0.31 (docs/planning.md), whose logs name this peak.
"""

import re
from dataclasses import dataclass

from tuner.domain.device import Device
from tuner.domain.model import ModelShape
from tuner.domain.plan import Basis
from tuner.plan.defaults import Engine
from tuner.plan.pages import DTYPE_BYTES
from tuner.plan.weights import padded_vocabulary
from tuner.plan.words import gib

MIB = 1 << 20

_RESIDUALS, _PROJECTIONS = 4, 3
"""Tensors of a layer that live at a time: the residual stream, its norm, the block's input and output; the two
projections of a gated feed-forward layer and their product."""
_SAMPLER_BYTES = 38.3
"""Of one logit in the sampler of vLLM's first model runner, which sorts all of them: 16-bit and 32-bit logits, sorted
ones and their 64-bit indices, probabilities, their sums. Measured: 38.2 to 38.6 over five models and three GPUs."""
_PLAIN_SAMPLER_BYTES = 6
"""Of one logit in the second runner's, which sorts nothing while it is profiled."""
_SECOND_RUNNER, _GRAPHS_COUNTED = (0, 26), (0, 21)
"""The first versions that profile with the second runner, and that keep memory for CUDA graphs."""
_GRAPH_POOL, _GRAPH_BYTES_PER_LAYER, _FIRST_RUNNER_GRAPH_BYTES = 256 * MIB, 1 * MIB, 10 * MIB
_CUDA, _FIRST_RUNNER_CUDA = 256 * MIB, 128 * MIB
_COMMUNICATION = 384 * MIB
_PROCESS = 1200 * MIB
"""Of a CPU worker: the interpreter and its libraries."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Extra:
    """A line of one GPU's memory."""

    name: str
    bytes: int
    basis: Basis
    why: str


def activations(model: ModelShape, engine: Engine, version: str | None = None) -> Extra:
    """Return the peak of the profiling run on one GPU."""
    batched = engine.limits.max_num_batched_tokens
    rows = min(engine.limits.max_num_seqs, batched)
    step, sampling = _step_bytes(model, engine), _sampler_bytes(model, rows, batched, version)
    if step >= sampling:
        why = f"a step of {batched:,} tokens (max-num-batched-tokens)"
    else:
        why = f"sampling for {rows:,} sequences (max-num-seqs) from {model.vocabulary:,} tokens at once"
    return Extra("activations", max(step, sampling), Basis.ASSUMED, f"peak of vLLM's profiling run: {why}")


def graphs(model: ModelShape, engine: Engine, version: str | None = None) -> Extra:
    """Return what vLLM sets aside for CUDA graphs on one GPU."""
    layers = len(model.layers) // engine.pipeline_parallel
    each = _GRAPH_BYTES_PER_LAYER if _since(version, _SECOND_RUNNER) else _FIRST_RUNNER_GRAPH_BYTES
    kept = not engine.enforce_eager and _since(version, _GRAPHS_COUNTED)
    size = _GRAPH_POOL + layers * each if kept else 0
    return Extra("CUDA graphs", size, Basis.ASSUMED, f"a pool and {gib(each)} for each of {layers} layers")


def outside(device: Device, engine: Engine, version: str | None = None) -> Extra:
    """Return what lies outside of torch's allocator on one GPU."""
    if device.vendor == "cpu":
        return Extra("process", _PROCESS, Basis.ASSUMED, "the worker process with its libraries")
    size = _CUDA if _since(version, _SECOND_RUNNER) else _FIRST_RUNNER_CUDA
    why = "CUDA's context and vLLM's own buffers"
    if engine.tensor_parallel > 1:
        size, why = size + _COMMUNICATION, f"{why}, and NCCL's for {engine.tensor_parallel} GPUs"
    return Extra("outside of torch", size, Basis.ASSUMED, why)


def _step_bytes(model: ModelShape, engine: Engine) -> int:
    elements = _RESIDUALS * model.hidden_size + _PROJECTIONS * model.intermediate_size / engine.tensor_parallel
    return round(engine.limits.max_num_batched_tokens * elements * DTYPE_BYTES[model.dtype])


def _sampler_bytes(model: ModelShape, rows: int, batched: int, version: str | None) -> int:
    """The whole vocabulary is gathered on every GPU, beside the step's hidden states."""
    each = _PLAIN_SAMPLER_BYTES if _since(version, _SECOND_RUNNER) else _SAMPLER_BYTES
    hidden = batched * model.hidden_size * DTYPE_BYTES[model.dtype]
    return round(rows * padded_vocabulary(model) * each) + hidden


def _since(version: str | None, first: tuple[int, int]) -> bool:
    """Return whether a version has what came with `first`; an unknown one is taken for the newest."""
    match = _VERSION.match(version or "")
    return match is None or (int(match[1]), int(match[2])) >= first
