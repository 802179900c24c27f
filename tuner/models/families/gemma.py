"""Gemma, from the first to the fourth: windows in most layers, later layers that share caches. Pure."""

from dataclasses import dataclass, replace

from tuner.domain.model import CacheLayer, WeightUse
from tuner.models.attention import SLIDING, Heads, Projections, attention_parts, caches, each_dim, layer_types
from tuner.models.decoder import Style, assemble, decoder, ends, intermediate_size, norms
from tuner.models.families.mixtures import active, kind
from tuner.models.feedforward import Experts, Mlp, experts_parts, mlp_parts
from tuner.models.fields import Fields
from tuner.models.parts import Blueprint, Layer, Part, Parts, linear, norm, vector


def gemma(fields: Fields) -> Blueprint:
    """Gemma, the first."""
    return decoder(fields, Style())


def gemma2(fields: Fields) -> Blueprint:
    """Gemma 2: four norms, a window in every other layer."""
    return decoder(fields, Style(norms=4, every=2))


def gemma3(fields: Fields) -> Blueprint:
    """Gemma 3: norms over queries and keys, too; a window in five layers of six, with a rotary table of their own."""
    whole = decoder(fields, Style(Projections(head_norms=each_dim), norms=4, every=6))
    return replace(whole, rotary=2 * whole.rotary)


@dataclass(frozen=True, slots=True)
class _PerLayer:
    """An embedding of its own for each layer (Gemma 3n)."""

    width: int
    vocabulary: int

    def layer(self, scope: str, hidden: int) -> Parts:
        return (
            *linear(f"{scope}.per_layer_input_gate", WeightUse.REPLICATED, hidden, self.width),
            *linear(f"{scope}.per_layer_projection", WeightUse.REPLICATED, self.width, hidden),
            *norm(f"{scope}.post_per_layer_input_norm", hidden),
        )

    def model(self, hidden: int, layers: int) -> Parts:
        width = layers * self.width
        return (
            Part("model.embed_tokens_per_layer", WeightUse.EMBEDDING, self.vocabulary, width, read=0.0),
            *linear("model.per_layer_model_projection", WeightUse.REPLICATED, hidden, width),
            *norm("model.per_layer_projection_norm", self.width),
        )


def gemma3n(fields: Fields) -> Blueprint:
    """Gemma 3n: the last layers share caches, each layer has an embedding, low-rank and alternating side paths."""
    heads, hidden = Heads.read(fields), fields.size("hidden_size")
    types = layer_types(fields, every=5)
    per_layer = _per_layer(fields)
    own = len(types) - fields.count("num_kv_shared_layers", 0)
    widths = _widths(fields, len(types))
    style = Style(Projections(head_norms=each_dim), norms=4)
    rank, inputs = fields.size("laurel_rank", 64), fields.size("altup_num_inputs", 4)

    def layer(index: int, cache: CacheLayer) -> Layer:
        scope = f"model.layers.{index}"
        shares = index >= own
        return Layer(
            () if shares else (cache,),
            (
                *_attention(scope, heads, style.attention, shares=shares),
                *mlp_parts(f"{scope}.mlp", hidden, widths[index], Mlp()),
                *norms(scope, style, hidden),
                *_altup(scope, hidden, inputs),
                *_laurel(scope, hidden, rank),
                *per_layer.layer(scope, hidden),
            ),
        )

    layers = [layer(index, cache) for index, cache in enumerate(caches(fields, heads, types))]
    side = linear("model.altup", WeightUse.REPLICATED, hidden, hidden, copies=2 * (inputs - 1))
    return assemble(
        fields,
        layers,
        rest=(*ends(fields, style), *per_layer.model(hidden, len(types)), *side),
        kind=_kind("dense", heads, types, own),
        intermediate=max(widths),
        rotary=2 * heads.head_dim,
    )


def gemma4(fields: Fields) -> Blueprint:
    """Gemma 4: larger heads where a layer sees everything, embeddings for each layer or a mixture beside the MLP."""
    hidden, width = fields.size("hidden_size"), intermediate_size(fields)
    local = Heads.read(fields)
    types = layer_types(fields, every=6)
    own = len(types) - fields.count("num_kv_shared_layers", 0)
    per_layer = _per_layer(fields) if fields.count("hidden_size_per_layer_input", 256) else None
    experts = _experts(fields) if fields.flag("enable_moe_block") else None
    style = Style(Projections(head_norms=each_dim), norms=7 if experts else 4)
    same = fields.flag("attention_k_eq_v")
    wide = _global(fields, local, same=same)

    def layer(index: int, cache: CacheLayer) -> Layer:
        scope = f"model.layers.{index}"
        shares, heads = index >= own, local if types[index] == SLIDING else wide
        double = 2 if shares and fields.flag("use_double_wide_mlp") else 1
        parts = (
            *_attention(scope, heads, style.attention, shares=shares, same=same and heads is wide),
            *mlp_parts(f"{scope}.mlp", hidden, double * width, Mlp()),
            *norms(scope, style, hidden),
            *(_mixture(scope, hidden, experts) if experts else ()),
            *(per_layer.layer(scope, hidden) if per_layer else ()),
        )
        kept = cache if heads is local else heads.full()
        return Layer(() if shares else (kept,), parts)

    layers = [layer(index, cache) for index, cache in enumerate(caches(fields, local, types))]
    whole = assemble(
        fields,
        layers,
        rest=(*ends(fields, style), *(per_layer.model(hidden, len(types)) if per_layer else ())),
        kind=_kind(kind(experts) if experts else "dense", local, types, own),
        intermediate=width,
        rotary=local.head_dim + wide.head_dim,
    )
    return replace(whole, intermediate=width + experts.active * experts.intermediate) if experts else whole


def _kind(name: str, heads: Heads, types: list[str], own: int) -> str:
    local = sum(item == SLIDING for item in types)
    shared = f", the last {len(types) - own} of them share caches" if own < len(types) else ""
    return f"{name}, {heads.kind}, {local} of {len(types)} layers local{shared}"


def _per_layer(fields: Fields) -> _PerLayer:
    return _PerLayer(
        fields.size("hidden_size_per_layer_input", 256), fields.size("vocab_size_per_layer_input", 262_144)
    )


def _widths(fields: Fields, layers: int) -> list[int]:
    if isinstance(fields.value("intermediate_size"), list):
        widths = fields.integers("intermediate_size")
        if len(widths) != layers:
            raise fields.wrong("intermediate_size", f"a list of {layers} (num_hidden_layers)")
        return widths
    return [intermediate_size(fields)] * layers


def _attention(scope: str, heads: Heads, how: Projections, *, shares: bool, same: bool = False) -> Parts:
    """Return the projections; a layer that shares a cache has none for keys and values.

    Where values are the keys' projection, vLLM loads it twice.
    """
    parts = attention_parts(f"{scope}.self_attn", heads, how)
    if shares:
        kept = tuple(part for part in parts if part.use is WeightUse.ATTENTION)
        return kept + norm(f"{scope}.self_attn.q_norm", heads.head_dim)
    if same:
        return tuple(
            replace(part, outputs=0, padding=part.outputs) if part.name.endswith("v_proj") else part for part in parts
        )
    return parts


def _altup(scope: str, hidden: int, inputs: int) -> Parts:
    return (
        *vector(f"{scope}.altup.correct_output_scale", hidden),
        *linear(f"{scope}.altup.correction_coefs", WeightUse.REPLICATED, inputs, inputs),
        *linear(f"{scope}.altup.prediction_coefs", WeightUse.REPLICATED, inputs, inputs * inputs),
        *linear(f"{scope}.altup.modality_router", WeightUse.REPLICATED, hidden, inputs),
        *norm(f"{scope}.altup.router_norm", hidden),
    )


def _laurel(scope: str, hidden: int, rank: int) -> Parts:
    return (
        *linear(f"{scope}.laurel.linear_left", WeightUse.REPLICATED, hidden, rank),
        *linear(f"{scope}.laurel.linear_right", WeightUse.REPLICATED, rank, hidden),
        *norm(f"{scope}.laurel.post_laurel_norm", hidden),
    )


def _global(fields: Fields, local: Heads, *, same: bool) -> Heads:
    """Return the heads of a layer that sees everything."""
    head_dim = fields.size("global_head_dim", 512)
    kv_heads = fields.size("num_global_key_value_heads", local.kv_heads) if same else local.kv_heads
    return replace(local, head_dim=head_dim, value_dim=head_dim, kv_heads=kv_heads)


def _experts(fields: Fields) -> Experts:
    return Experts(fields.size("num_local_experts"), active(fields), fields.size("moe_intermediate_size"))


def _mixture(scope: str, hidden: int, experts: Experts) -> Parts:
    return (
        *experts_parts(f"{scope}.moe", hidden, experts),
        *vector(f"{scope}.router.scale", hidden),
        *vector(f"{scope}.router.per_expert_scale", experts.experts),
    )
