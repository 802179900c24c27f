"""What a quantised weight takes in GPU memory: its bits, its scales, its zero points. Pure.

Read from `quantization_config`. Embeddings, norms, routers and, unless the configuration says otherwise, the head stay
at the model's dtype, as vLLM loads them.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil

from tuner.domain.model import WeightUse
from tuner.models.fields import Fields
from tuner.models.latent import KV_UP
from tuner.models.parts import Part

_WHOLE = 0
"""A block side that spans the whole matrix."""
_BNB_BLOCK = 64
_MXFP4_TILES = (128, 256)
"""Marlin's and TensorRT-LLM's (`fused_moe/oracle/mxfp4.py`, mxfp4_round_up_hidden_size_and_intermediate_size, at 0.32);
other kernels pad less."""
_KV_DTYPES = {"fp8": "fp8_e4m3", "nvfp4": "nvfp4"}
_WRAPPERS = {"model", "language_model", "text_model", "transformer", "backbone"}
"""Name segments that differ between a text model and the same one within a multimodal model."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one weight is compressed."""

    bits: int
    block: tuple[int, int]
    """Outputs and inputs that share a scale; 0 for all of them."""
    scale_bytes: int
    zero_bits: int = 0
    """Bits of a block's zero point."""

    def bytes(self, outputs: int, inputs: int) -> int:
        """Return the bytes of a matrix of this size, scales and zero points included."""
        rows, columns = self.block
        blocks = ceil(outputs / (rows or outputs)) * ceil(inputs / (columns or inputs))
        return ceil(outputs * inputs * self.bits / 8) + blocks * self.scale_bytes + ceil(blocks * self.zero_bits / 8)


@dataclass(frozen=True, slots=True)
class Rule:
    """A scheme and the modules that it is for."""

    scheme: Scheme
    targets: tuple[str, ...] = ("Linear",)


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a checkpoint is compressed."""

    method: str
    rules: tuple[Rule, ...] = ()
    skipped: tuple[str, ...] = ()
    """Modules that stay as they are: names, parts of names, `re:` patterns."""
    experts_only: bool = False
    tiles: tuple[int, int] = (1, 1)
    """Multiples that kernels pad experts to: of their intermediate size, and of the hidden size."""
    with_head: bool = False
    note: str = ""

    def bytes(self, part: Part, itemsize: int) -> int:
        """Return what a part takes in GPU memory.

        Args:
            part: a matrix or vector, with its copies.
            itemsize: bytes of an element of the model's dtype.
        """
        scheme = self._scheme(part)
        rows = part.outputs + part.padding
        if scheme is None:
            return rows * part.inputs * part.copies * (part.itemsize or itemsize)
        absorbed = part.parameters * itemsize if part.name.endswith(KV_UP) else 0
        return scheme.bytes(*self._padded(part, rows)) * part.copies + absorbed

    def _padded(self, part: Part, rows: int) -> tuple[int, int]:
        """Return a matrix's sides as kernels want them."""
        if part.use is not WeightUse.EXPERTS:
            return rows, part.inputs
        inner, hidden = self.tiles
        first, second = (hidden, inner) if part.name.endswith("down_proj") else (inner, hidden)
        return rows + -rows % first, part.inputs + -part.inputs % second

    def _scheme(self, part: Part) -> Scheme | None:
        if not part.linear or (part.use is WeightUse.HEAD and not self.with_head):
            return None
        if self.experts_only and part.use is not WeightUse.EXPERTS:
            return None
        if any(matches(pattern, part.name) for pattern in self.skipped):
            return None
        return next((rule.scheme for rule in self.rules if _targets(rule, part.name)), None)


def matches(pattern: str, name: str) -> bool:
    """Return whether an exception of a quantisation means this module.

    A `re:` pattern is a regular expression; otherwise the pattern's dotted segments are found among the name's, with
    `*` for any, and wrappers such as `language_model` left aside.
    """
    if pattern.startswith("re:"):
        return _regex(pattern.removeprefix("re:"), name)
    wanted, segments = _segments(pattern), _segments(name)
    places = range(len(segments) - len(wanted) + 1)
    return bool(wanted) and any(_alike(wanted, segments[at : at + len(wanted)]) for at in places)


def read_quantization(config: Fields) -> Quantization | None:
    """Return how the checkpoint is compressed; None where it is not."""
    fields = _section(config)
    return None if fields is None else _read(fields)


def kv_cache_dtype(config: Fields) -> str | None:
    """Return the dtype that a checkpoint asks its KV cache to have (`vllm/utils/torch_utils.py`, at 0.32).

    vLLM listens to ModelOpt's and llm-compressor's checkpoints.
    """
    fields = _section(config)
    if fields is None:
        return None
    method = _method(fields)
    if method == "compressed-tensors":
        return "fp8" if "kv_cache_scheme" in fields else None
    if not method.startswith("modelopt"):
        return None
    for part in (fields.part("quantization"), fields):
        asked = _modelopt_cache(part)
        if asked:
            return asked
    return None


def _modelopt_cache(fields: Fields) -> str | None:
    if isinstance(fields.value("kv_cache_scheme"), dict):
        scheme = fields.part("kv_cache_scheme")
        bits = scheme.count("num_bits", 0) if scheme.text("type") == "float" else 0
        return {8: "fp8_e4m3", 4: "nvfp4"}.get(bits)
    return _KV_DTYPES.get(fields.text("kv_cache_quant_algo").lower())


def _section(config: Fields) -> Fields | None:
    for part in (config, config.language()):
        for key in ("quantization_config", "compression_config"):
            if key in part:
                return part.part(key)
    return None


def _method(fields: Fields) -> str:
    return fields.text("quant_method").lower().replace("_", "-") or _guess(fields)


def _read(fields: Fields) -> Quantization:
    method = _method(fields)
    reader = _READERS.get(method)
    if reader is None:
        note = f"quantisation {method or 'without a name'} is not known here: linear layers are counted at 16 bits"
        return Quantization(method or "unknown", note=note)
    return reader(fields, method)


def _guess(fields: Fields) -> str:
    if "config_groups" in fields:
        return "compressed-tensors"
    if "producer" in fields:
        return fields.part("producer").text("name")
    return "bitsandbytes" if fields.flag("load_in_4bit") or fields.flag("load_in_8bit") else ""


def _gptq(fields: Fields, method: str) -> Quantization:
    bits, group = fields.size("bits", 4), _group(fields)
    zeros = 0 if fields.flag("sym", default=True) else bits
    dynamic = [key.removeprefix("-:") for key in fields.part("dynamic").keys() if key.startswith("-:")]  # noqa: SIM118
    return Quantization(
        method,
        (Rule(Scheme(bits, (1, group), 2, zeros)),),
        (*_skipped(fields), *(f"re:{pattern}" for pattern in dynamic)),
        with_head=fields.flag("lm_head"),
    )


def _awq(fields: Fields, method: str) -> Quantization:
    bits = fields.size("bits", fields.size("w_bit", 4))
    zeros = bits if fields.flag("zero_point", default=True) else 0
    return Quantization(method, (Rule(Scheme(bits, (1, _group(fields)), 2, zeros)),), _skipped(fields))


def _group(fields: Fields) -> int:
    """Return the inputs that share a scale: -1 in the configuration means all."""
    group = fields.value("group_size") if "group_size" in fields else fields.value("q_group_size")
    return group if isinstance(group, int) and group > 0 else _WHOLE if isinstance(group, int) else 128


def _fp8(fields: Fields, method: str) -> Quantization:
    sides = _block(fields.integers("weight_block_size"), (_WHOLE, _WHOLE))
    return Quantization(method, (Rule(Scheme(8, sides, 4)),), _skipped(fields))


def _fbgemm(fields: Fields, method: str) -> Quantization:
    return Quantization(method, (Rule(Scheme(8, (1, _WHOLE), 4)),), _skipped(fields))


def _bitsandbytes(fields: Fields, method: str) -> Quantization:
    four = fields.flag("load_in_4bit") or fields.flag("_load_in_4bit")
    scheme = Scheme(4, (1, _BNB_BLOCK), 4) if four else Scheme(8, (1, _WHOLE), 4)
    return Quantization(method, (Rule(scheme),), _skipped(fields))


def _mxfp4(fields: Fields, method: str) -> Quantization:
    rule = Rule(Scheme(4, (1, 32), 1))
    return Quantization(method, (rule,), _skipped(fields), experts_only=True, tiles=_MXFP4_TILES)


def _modelopt(fields: Fields, method: str) -> Quantization:
    inner = fields.part("quantization") if "quantization" in fields else fields
    name = inner.text("quant_algo").upper()
    scheme = Scheme(4, (1, 16), 1) if "FP4" in name else Scheme(8, (_WHOLE, _WHOLE), 4)
    return Quantization(method, (Rule(scheme),), _skipped(inner))


def _compressed(fields: Fields, method: str) -> Quantization:
    groups = fields.part("config_groups")
    rules = [_compressed_rule(groups.part(name)) for name in groups.keys()]  # noqa: SIM118
    return Quantization(method, tuple(rule for rule in rules if rule), _skipped(fields))


def _compressed_rule(group: Fields) -> Rule | None:
    weights = group.part("weights")
    if "num_bits" not in weights:
        return None
    bits, float_type = weights.size("num_bits"), weights.text("type", "int") == "float"
    size = weights.value("group_size")
    width = size if isinstance(size, int) and size > 0 else _WHOLE
    block = _block(weights.integers("block_structure"), (1, width))
    block = (_WHOLE, _WHOLE) if weights.text("strategy") == "tensor" else block
    small = bits == 4 and float_type  # noqa: PLR2004
    scale = 1 if small else 4 if float_type else 2
    zeros = 0 if weights.flag("symmetric", default=True) else bits
    return Rule(Scheme(bits, block, scale, zeros), tuple(group.strings("targets")) or ("Linear",))


def _block(sides: list[int], otherwise: tuple[int, int]) -> tuple[int, int]:
    """Return a block's two sides where the configuration gives them."""
    return (sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else otherwise  # noqa: PLR2004


def _skipped(fields: Fields) -> tuple[str, ...]:
    names = ("ignore", "ignored_layers", "modules_to_not_convert", "llm_int8_skip_modules", "exclude_modules")
    return tuple(pattern for name in names for pattern in fields.strings(name))


def _targets(rule: Rule, name: str) -> bool:
    return any(target == "Linear" or matches(target, name) for target in rule.targets)


def _regex(pattern: str, name: str) -> bool:
    try:
        return re.match(pattern, name) is not None
    except re.error:
        return False


def _segments(name: str) -> list[str]:
    return [segment for segment in name.split(".") if segment and segment not in _WRAPPERS]


def _alike(wanted: list[str], found: list[str]) -> bool:
    return all(fnmatchcase(segment, pattern) for pattern, segment in zip(wanted, found, strict=True))


_READERS = {
    "gptq": _gptq,
    "gptq-marlin": _gptq,
    "auto-round": _gptq,
    "inc": _gptq,
    "awq": _awq,
    "awq-marlin": _awq,
    "fp8": _fp8,
    "fbgemm-fp8": _fbgemm,
    "bitsandbytes": _bitsandbytes,
    "mxfp4": _mxfp4,
    "modelopt": _modelopt,
    "modelopt-fp4": _modelopt,
    "compressed-tensors": _compressed,
}
