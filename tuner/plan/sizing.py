"""Owns what fits: a deployment resolved, its memory, its cache, and whether vLLM would start. Pure."""

from dataclasses import dataclass

from tuner.domain.device import Device
from tuner.domain.errors import InputError
from tuner.domain.model import ModelShape, NoCache, StateSpace
from tuner.domain.plan import Demand, Deployment
from tuner.plan.defaults import Engine, resolve
from tuner.plan.kv import CacheLayout, cache_layout
from tuner.plan.memory import NO_CORRECTIONS, Corrections, Memory, memory
from tuner.plan.roofline import Speed
from tuner.plan.weights import kv_heads
from tuner.plan.words import tokens

_GPUS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)
_NEVER_FULL = 1 << 20
"""Sequences of a model that keeps nothing."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """A model on a device, in bytes and blocks."""

    model: ModelShape
    device: Device
    deployment: Deployment
    engine: Engine
    layout: CacheLayout
    memory: Memory
    blocks: int
    """Blocks of the KV cache."""
    sequence_blocks: int
    """Blocks of a request of the mean length."""

    @property
    def fits(self) -> bool:
        """Whether vLLM would start: weights and one request of the maximal length fit."""
        return self.weights_fit and self.layout.holds(self.memory.stage_kv, self.engine.max_model_len)

    @property
    def weights_fit(self) -> bool:
        """Whether everything but the cache fits, and with a cache of a given size that too."""
        if self.deployment.kv_cache_memory_bytes is None:
            return min(self.memory.stage_kv) > 0
        return self.spare_bytes >= 0

    @property
    def spare_bytes(self) -> int:
        """Bytes of the fullest GPU's memory that nothing takes; negative where more is asked for than there is."""
        used = sum(item.bytes for item in self.memory.items[1:]) // self.engine.gpus
        return self.device.memory_bytes - used

    @property
    def max_sequences(self) -> int:
        """Requests of the mean length at a time; vLLM holds one block back."""
        if self.layout.keeps_nothing:
            return _NEVER_FULL
        return max(self.blocks - 1, 0) // self.sequence_blocks

    def speed(self, demand: Demand) -> Speed:
        """Return how fast it is for a demand."""
        return Speed(self.model, self.device, self.engine, self.layout, demand)


def size(
    model: ModelShape,
    device: Device,
    deployment: Deployment,
    demand: Demand,
    corrections: Corrections | None = None,
) -> Sizing:
    """Return what fits of a model on a device.

    Raises:
        InputError: heads that can't be split so, a KV cache dtype of unknown size, requests longer than allowed.
    """
    _check_split(model, deployment)
    engine = resolve(model, device, deployment)
    _check_length(demand, engine, model)
    layout = cache_layout(model, engine)
    taken = memory(model, device, deployment, engine, corrections or NO_CORRECTIONS)
    length = round(demand.input_tokens + demand.output_tokens)
    return Sizing(
        model=model,
        device=device,
        deployment=deployment,
        engine=engine,
        layout=layout,
        memory=taken,
        blocks=layout.blocks(taken.stage_kv),
        sequence_blocks=max(layout.sequence_blocks(max(length, 1)), 1),
    )


def splits(model: ModelShape, gpus: int) -> bool:
    """Return whether tensor parallel over so many GPUs is possible: heads divide, KV heads divide or are copied.

    A model without attention has no heads that stand in the way.
    """
    if all(isinstance(layer, StateSpace | NoCache) for layer in model.layers):
        return True
    heads = kv_heads(model)
    return model.heads % gpus == 0 and (heads % gpus == 0 or gpus % heads == 0)


def _check_split(model: ModelShape, deployment: Deployment) -> None:
    if not splits(model, deployment.tensor_parallel):
        raise InputError(
            f"--tensor-parallel-size {deployment.tensor_parallel}: {model.name} has {model.heads} query heads and "
            f"{kv_heads(model)} KV heads, which so many GPUs can't share evenly",
            advice=f"Possible are {', '.join(str(gpus) for gpus in _GPUS if splits(model, gpus))}.",
        )
    if deployment.pipeline_parallel > len(model.layers):
        raise InputError(
            f"--pipeline-parallel-size {deployment.pipeline_parallel}: {model.name} has {len(model.layers)} layers",
            advice=f"Give {len(model.layers)} or less.",
        )


def _check_length(demand: Demand, engine: Engine, model: ModelShape) -> None:
    length = demand.input_tokens + demand.output_tokens
    if length > engine.max_model_len:
        raise InputError(
            f"{tokens(demand.input_tokens)} + {tokens(demand.output_tokens)} tokens of a request are "
            f"{tokens(length - engine.max_model_len)} more than the longest sequence, {engine.max_model_len:,}",
            advice=(
                f"Raise --max-model-len ({model.name} allows {model.max_length}), or shorten the request."
                if engine.max_model_len < model.max_length
                else f"That is all that {model.name} allows: shorten the request."
            ),
        )
