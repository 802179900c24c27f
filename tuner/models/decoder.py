"""The decoder that nearly all families are: an embedding, alike layers, a norm, a head. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuner.domain.model import CacheLayer, WeightUse
from tuner.models.attention import Heads, Projections, attention_parts, caches, layer_types
from tuner.models.feedforward import Mlp, mlp_parts
from tuner.models.fields import Fields
from tuner.models.parts import Blueprint, Layer, Parts, embedding, head, norm, vector

PLAIN_ATTENTION = Projections()
GATED = Mlp()

Feed = Callable[[str, int], Parts]
"""Given a layer's scope and index, its feed-forward part."""


@dataclass(frozen=True, slots=True)
class Style:
    """What tells one family of decoders from another."""

    attention: Projections = PLAIN_ATTENTION
    mlp: Mlp = GATED
    norms: int = 2
    """Norms over the hidden state in each layer."""
    norm_bias: bool = False
    every: int | None = None
    """Of layers with and without a window: every n-th sees everything."""
    head_bias: bool = False
    positions: int = 0
    """Rows of a learned position embedding."""
    embedding_norm: bool = False
    """Whether the embedding is followed by a norm (BLOOM)."""
    final_norm: bool = True
    rotary: bool = True


def decoder(fields: Fields, style: Style, *, feed: Feed | None = None, kind: str = "dense") -> Blueprint:
    """Return a model whose layers are all attention and a feed-forward part.

    Args:
        fields: the language model's configuration.
        style: the family's.
        feed: the feed-forward part of a layer; a dense one where nothing is said.
        kind: what the feed-forward layers are, for people.
    """
    heads = Heads.read(fields)
    intermediate = intermediate_size(fields)

    def dense(scope: str, _: int) -> Parts:
        return mlp_parts(f"{scope}.mlp", heads.hidden, intermediate, style.mlp)

    types = layer_types(fields, every=style.every)
    kept = caches(fields, heads, types)
    layers = [_layer(index, cache, heads, style, feed or dense) for index, cache in enumerate(kept)]
    return assemble(
        fields,
        layers,
        rest=(*_positions(style, heads.hidden), *ends(fields, style)),
        kind=f"{kind}, {heads.kind}{windows(layers)}",
        rotary=rotary_dim(fields, heads) if style.rotary else 0,
        intermediate=intermediate,
    )


def assemble(
    fields: Fields, layers: Sequence[Layer], *, rest: Parts, kind: str, intermediate: int, rotary: int = 0
) -> Blueprint:
    """Return the whole model from its layers and its ends."""
    return Blueprint(
        kind=kind,
        layers=tuple(layers),
        rest=rest,
        hidden=fields.size("hidden_size"),
        intermediate=intermediate,
        heads=fields.size("num_attention_heads", 1),
        vocabulary=fields.size("vocab_size"),
        rotary=rotary,
    )


def ends(fields: Fields, style: Style) -> Parts:
    """Return the embedding, the last norm and the head, which is the embedding again where they are tied."""
    hidden, vocabulary = fields.size("hidden_size"), fields.size("vocab_size")
    tied = fields.flag("tie_word_embeddings")
    return (
        *embedding("model.embed_tokens", vocabulary, hidden, read=1.0 if tied else 0.0),
        *(norm("model.embedding_norm", hidden, bias=style.norm_bias) if style.embedding_norm else ()),
        *(norm("model.norm", hidden, bias=style.norm_bias) if style.final_norm else ()),
        *(() if tied else head("lm_head", vocabulary, hidden, bias=style.head_bias)),
    )


def norms(scope: str, style: Style, hidden: int) -> Parts:
    """Return a layer's norms over the hidden state."""
    return tuple(part for i in range(style.norms) for part in norm(f"{scope}.norm{i}", hidden, bias=style.norm_bias))


def intermediate_size(fields: Fields) -> int:
    """Return a dense feed-forward layer's width; four times the hidden size where nothing is said."""
    return fields.size("intermediate_size", 4 * fields.size("hidden_size"))


def rotary_dim(fields: Fields, heads: Heads) -> int:
    """Return how many of a head's dimensions the rotary embedding turns."""
    share = fields.number("partial_rotary_factor", fields.number("rotary_pct", 1.0))
    inner = fields.part("rope_parameters").number("partial_rotary_factor", share)
    return min(heads.head_dim, fields.count("rotary_dim", round(heads.head_dim * min(1.0, max(0.0, inner)))))


def windows(layers: Sequence[Layer]) -> str:
    """Return what is to be said of layers with a window or a chunk."""
    kinds = [cache.type for layer in layers for cache in layer.caches]
    local = sum(kind in {"sliding", "chunked"} for kind in kinds)
    return f", {local} of {len(kinds)} layers local" if local else ""


def _layer(index: int, cache: CacheLayer, heads: Heads, style: Style, feed: Feed) -> Layer:
    scope = f"model.layers.{index}"
    return Layer(
        (cache,),
        (
            *attention_parts(f"{scope}.self_attn", heads, style.attention),
            *feed(scope, index),
            *norms(scope, style, heads.hidden),
        ),
    )


def _positions(style: Style, hidden: int) -> Parts:
    return vector("model.positions", style.positions * hidden, use=WeightUse.EMBEDDING) if style.positions else ()
