"""From a configuration to a ModelShape: the blueprint's parts weighed and summed by use. Pure."""

from collections.abc import Iterable, Sequence

from tuner.domain.model import CacheLayer, ModelShape, NoCache, Weights, WeightUse
from tuner.models.dtypes import ITEMSIZE, Dtype, served_dtype
from tuner.models.families.registry import build, completed
from tuner.models.fields import Fields, Raw
from tuner.models.lengths import max_length
from tuner.models.parts import Blueprint, Part
from tuner.models.quantization import Quantization, kv_cache_dtype, read_quantization
from tuner.models.stored import Tensor, measured, widest
from tuner.models.vision import encoder

_PLAIN = Quantization("")


def model_shape(
    config: Raw, *, name: str, where: str, dtype: str | None = None, tensors: Sequence[Tensor] = ()
) -> ModelShape:
    """Return the shape of the model that a configuration describes.

    Args:
        config: the decoded config.json.
        name: as the user named the model.
        where: the file, for errors.
        dtype: as vLLM's `--dtype`; None for vLLM's choice.
        tensors: the weight files' headers, where they were read.

    Raises:
        InputError: something is missing, of the wrong kind, or not known.
    """
    fields = Fields(config, where=where)
    language = completed(fields.language())
    blueprint = build(language)
    tower, said = encoder(fields, blueprint.hidden)
    quantization = read_quantization(fields)
    served = served_dtype(fields, widest(tensors), dtype)
    weights = weigh((*blueprint.parts(), *tower), quantization or _PLAIN, ITEMSIZE[served])
    found, notes = measured(weights, tensors, blueprint, quantized=quantization is not None, itemsize=ITEMSIZE[served])
    return ModelShape(
        name=name,
        architecture=next(iter(fields.strings("architectures")), language.text("model_type", "unknown")),
        family=blueprint.kind,
        dtype=served,
        quantization=quantization.method if quantization else None,
        kv_cache_dtype=kv_cache_dtype(fields),
        layers=_caches(blueprint),
        weights=found,
        hidden_size=blueprint.hidden,
        intermediate_size=blueprint.intermediate,
        heads=blueprint.heads,
        vocabulary=blueprint.vocabulary,
        max_length=max_length(language),
        table_bytes=_tables(blueprint, language, served),
        measured_weights=bool(tensors),
        notes=(*blueprint.notes, *said, *notes, *([quantization.note] if quantization and quantization.note else [])),
    )


def weigh(parts: Iterable[Part], quantization: Quantization, itemsize: int) -> tuple[Weights, ...]:
    """Return parameters and bytes by use, in the order of WeightUse."""
    sums: dict[tuple[WeightUse, float], list[int]] = {}
    for part in parts:
        total = sums.setdefault((part.use, part.read), [0, 0])
        total[0] += part.parameters
        total[1] += quantization.bytes(part, itemsize)
    order = list(WeightUse)
    return tuple(
        Weights(use=use, read=read, parameters=parameters, bytes=size)
        for (use, read), (parameters, size) in sorted(sums.items(), key=lambda item: order.index(item[0][0]))
    )


def _caches(blueprint: Blueprint) -> tuple[CacheLayer, ...]:
    return tuple(cache for layer in blueprint.layers for cache in layer.caches or (NoCache(),))


def _tables(blueprint: Blueprint, language: Fields, dtype: Dtype) -> int:
    """Return the bytes of the rotary embedding's cosines and sines, one row for each position."""
    return blueprint.rotary * max_length(language) * ITEMSIZE[dtype]
