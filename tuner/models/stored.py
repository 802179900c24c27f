"""What weight files say they hold, held against what the configuration implies. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from tuner.domain.model import Weights, WeightUse
from tuner.models.parts import Blueprint

BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "U64": 64, "I32": 32, "U32": 32, "I16": 16, "U16": 16,
    "I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Bits of an element by its name in a safetensors header."""

_NEAR = 0.03
"""Scales, zero points and padding make a compressed checkpoint differ this much from what vLLM keeps of it."""
_FLOATS = {"F64": "float32", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_ENCODER = re.compile(
    r"(?:^|\.)(?:visual|vision_\w+|vision|multi_modal_projector|mm_projector|audio_\w+|embed_vision|embed_audio|mlp1|"
    r"image_newline|connector|aligner|projector|sam_model|vit)(?:\.|$)"
)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of a safetensors header."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """Elements, packed ones counted as one."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes in the file."""
        return -(-self.parameters * BITS[self.dtype] // 8)


def widest(tensors: Sequence[Tensor]) -> str | None:
    """Return the widest floating-point dtype among the tensors, which vLLM takes where the configuration names none."""
    names = {_FLOATS[tensor.dtype] for tensor in tensors if tensor.dtype in _FLOATS}
    if not names:
        return None
    return "float32" if "float32" in names or len(names) > 1 else names.pop()


def measured(
    weights: tuple[Weights, ...], tensors: Sequence[Tensor], blueprint: Blueprint, *, quantized: bool, itemsize: int
) -> tuple[tuple[Weights, ...], tuple[str, ...]]:
    """Return the weights as the files have them, and what is to be said where the configuration implies otherwise.

    The split by use stays the configuration's; its sums become the files'.

    Args:
        weights: what the configuration implies.
        tensors: the files' entries; without any, the weights stay as they are.
        blueprint: which layers there are, and whether the head is tied.
        quantized: whether the files are compressed, so that their elements don't count parameters.
        itemsize: bytes of an element of the model's dtype.
    """
    loaded = [tensor for tensor in tensors if _loaded(tensor.name, blueprint)]
    if not loaded:
        return weights, ()
    encoder = [tensor for tensor in loaded if _ENCODER.search(tensor.name)]
    language = [tensor for tensor in loaded if not _ENCODER.search(tensor.name)]
    computed = tuple(group for group in weights if group.use is not WeightUse.ENCODER)
    text, notes = _reconciled(computed, language, quantized=quantized)
    return text + _encoder(encoder, itemsize), notes


def _loaded(name: str, blueprint: Blueprint) -> bool:
    """Return whether vLLM loads a tensor: no rotary buffers, no prediction layers after the last, no tied head."""
    if _ENCODER.search(name):
        return True
    if name.endswith("inv_freq") or name.startswith("mtp.") or ".mtp." in name:
        return False
    layer = _LAYER.search(name)
    if layer and int(layer.group(1)) >= len(blueprint.layers):
        return False
    tied = not any(part.use is WeightUse.HEAD for part in blueprint.rest)
    return not (tied and re.search(r"(?:^|\.)(?:lm_head|embed_out)\.", name))


def _reconciled(
    weights: tuple[Weights, ...], tensors: Sequence[Tensor], *, quantized: bool
) -> tuple[tuple[Weights, ...], tuple[str, ...]]:
    if quantized:
        ratio = _ratio(sum(tensor.bytes for tensor in tensors), sum(group.bytes for group in weights))
        ratio = 1.0 if abs(ratio - 1) < _NEAR else ratio
        changed = tuple(group.model_copy(update={"bytes": round(group.bytes * ratio)}) for group in weights)
    else:
        ratio = _ratio(sum(tensor.parameters for tensor in tensors), sum(group.parameters for group in weights))
        changed = tuple(_scaled(group, ratio) for group in weights)
    if ratio == 1:
        return weights, ()
    return changed, (f"the weight files hold {ratio:.3g} times what the configuration implies; the files are believed",)


def _ratio(stored: int, implied: int) -> float:
    return stored / implied if stored and implied else 1.0


def _scaled(group: Weights, ratio: float) -> Weights:
    changed = {"parameters": round(group.parameters * ratio), "bytes": round(group.bytes * ratio)}
    return group.model_copy(update=changed)


def _encoder(tensors: Sequence[Tensor], itemsize: int) -> tuple[Weights, ...]:
    parameters = sum(tensor.parameters for tensor in tensors)
    size = parameters * itemsize
    return (Weights(use=WeightUse.ENCODER, parameters=parameters, bytes=size, read=0),) if parameters else ()
