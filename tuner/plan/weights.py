"""Owns how weights are split: bytes on one GPU of each pipeline stage, by what the weights are for. Pure."""

from itertools import pairwise
from math import ceil

from tuner.domain.model import ModelShape, Weights, WeightUse
from tuner.plan.defaults import Engine
from tuner.plan.kv import stage_bounds

_VOCABULARY_STEP = 64
"""vLLM pads the vocabulary to a multiple of it (`DEFAULT_VOCAB_PADDING_SIZE`)."""
_FIRST_STAGE = frozenset({WeightUse.EMBEDDING, WeightUse.ENCODER})
_NOT_IN_LAYERS = _FIRST_STAGE | {WeightUse.HEAD}


def stage_weight_bytes(model: ModelShape, engine: Engine) -> tuple[int, ...]:
    """Return the bytes of weights on one GPU, for each pipeline stage, tables of rotary embeddings included.

    Layers are taken to be of one size. The embedding and a tower lie on the first stage, the output projection on the
    last; where it is tied to the embedding, they are one with one stage, and two copies with more.
    """
    bounds = stage_bounds(len(model.layers), engine.pipeline_parallel)
    body = sum(_share(group, model, engine) for group in model.weights if group.use not in _NOT_IN_LAYERS)
    stages = [body * (end - begin) / len(model.layers) + model.table_bytes for begin, end in pairwise(bounds)]
    stages[0] += sum(_share(group, model, engine) for group in model.weights if group.use in _FIRST_STAGE)
    head = _use_bytes(model, engine, WeightUse.HEAD)
    if len(stages) > 1 and not head:
        head = _use_bytes(model, engine, WeightUse.EMBEDDING)
    stages[-1] += head
    return tuple(ceil(stage) for stage in stages)


def kv_heads(model: ModelShape) -> int:
    """Return the most KV heads of any layer; 1 for a latent, which is never split."""
    return max((getattr(layer, "kv_heads", 1) for layer in model.layers), default=1)


def padded_vocabulary(model: ModelShape) -> int:
    """Return the rows of the embedding as vLLM allocates them."""
    return -(-model.vocabulary // _VOCABULARY_STEP) * _VOCABULARY_STEP


def _use_bytes(model: ModelShape, engine: Engine, use: WeightUse) -> float:
    return sum(_share(group, model, engine) for group in model.weights if group.use is use)


def _share(group: Weights, model: ModelShape, engine: Engine) -> float:
    """Return the bytes of these weights that one GPU of a tensor-parallel group holds."""
    gpus = engine.tensor_parallel
    match group.use:
        case WeightUse.REPLICATED:
            return group.bytes
        case WeightUse.KV_PROJECTION:
            return group.bytes / min(gpus, kv_heads(model))
        case _:
            return group.bytes / gpus
