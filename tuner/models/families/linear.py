"""Linear attention and short convolutions among attention layers: Qwen3-Next, MiniMax-Text-01, LFM2. Pure."""

from dataclasses import replace
from math import ceil

from tuner.models.attention import Heads, Projections, each_dim
from tuner.models.decoder import Style, intermediate_size
from tuner.models.families.hybrids import ATTENTION, interleaved
from tuner.models.families.mixtures import active, kind, sparse_step, visited
from tuner.models.feedforward import Experts, Mlp, experts_parts, mlp_parts
from tuner.models.fields import Fields
from tuner.models.parts import Blueprint, Parts
from tuner.models.states import DeltaNet, Lightning, ShortConv


def qwen3_next(fields: Fields) -> Blueprint:
    """Qwen3-Next and Qwen3.5: a delta rule in three layers of four, gated attention in the fourth."""
    hidden, width = fields.size("hidden_size"), intermediate_size(fields)
    interval = fields.size("full_attention_interval", 4)
    layers = fields.size("num_hidden_layers")
    given = [name in ATTENTION for name in fields.strings("layer_types")]
    attention = given or [(index + 1) % interval == 0 for index in range(layers)]
    count = fields.count("num_local_experts", 0)
    experts = _next_experts(fields, count) if count else None
    sparse = sparse_step(fields)

    def feed(scope: str, index: int) -> Parts:
        if experts and sparse(index):
            return experts_parts(f"{scope}.mlp", hidden, experts)
        return mlp_parts(f"{scope}.mlp", hidden, width, Mlp())

    bias = fields.flag("attention_bias")
    style = Style(Projections(bias, bias, each_dim, gated=fields.flag("attn_output_gate", default=True)))
    name = kind(experts) if experts else "dense"
    whole = interleaved(fields, DeltaNet.read(fields), attention, feed, style=style, name=name)
    rotary = round(Heads.read(fields).head_dim * fields.number("partial_rotary_factor", 0.25))
    whole = replace(whole, rotary=rotary)
    return visited(whole, experts) if experts else whole


def minimax(fields: Fields) -> Blueprint:
    """MiniMax-Text-01 and M1: lightning attention in seven layers of eight."""
    hidden = fields.size("hidden_size")
    heads = Heads.read(fields)
    types = fields.integers("attn_type_list")
    given = [bool(item) for item in types] or [name in ATTENTION for name in fields.strings("layer_types")]
    attention = given or [index % 2 == 0 for index in range(fields.size("num_hidden_layers"))]
    experts = Experts(fields.size("num_local_experts", 8), active(fields, 2), intermediate_size(fields))
    return visited(
        interleaved(
            fields,
            Lightning(hidden, heads.heads, heads.head_dim),
            attention,
            lambda scope, _: experts_parts(f"{scope}.block_sparse_moe", hidden, experts),
            name=kind(experts),
        ),
        experts,
    )


def lfm2(fields: Fields) -> Blueprint:
    """LFM2: gated short convolutions with attention in a few layers; a mixture after the first layers in LFM2-MoE."""
    hidden = fields.size("hidden_size")
    full = set(fields.integers("full_attn_idxs"))
    layers = fields.size("num_hidden_layers")
    types = fields.strings("layer_types")
    attention = [name in ATTENTION for name in types] or [index in full for index in range(layers)]
    state = ShortConv(hidden, fields.size("conv_L_cache", 3), fields.flag("conv_bias"))
    count = fields.count("num_local_experts", 0)
    experts = _lfm_experts(fields, count) if count else None
    first = fields.count("num_dense_layers", 0)
    width = _lfm_width(fields) if not experts else intermediate_size(fields)

    def feed(scope: str, index: int) -> Parts:
        if experts and index >= first:
            return experts_parts(f"{scope}.feed_forward", hidden, experts)
        return mlp_parts(f"{scope}.feed_forward", hidden, width, Mlp())

    known = fields.replacing({"tie_word_embeddings": fields.flag("tie_embedding", default=True)})
    style = Style(Projections(head_norms=each_dim))
    name = kind(experts) if experts else "dense"
    rotary = Heads.read(fields).head_dim
    whole = interleaved(known, state, attention, feed, style=style, name=name)
    whole = replace(whole, intermediate=width, rotary=rotary)
    return visited(whole, experts) if experts else whole


def _next_experts(fields: Fields, count: int) -> Experts:
    return Experts(
        experts=count,
        active=active(fields, 10),
        intermediate=fields.size("moe_intermediate_size", 512),
        shared=fields.count("shared_expert_intermediate_size", 512),
        shared_gate=True,
    )


def _lfm_experts(fields: Fields, count: int) -> Experts:
    return Experts(
        experts=count,
        active=active(fields, 4),
        intermediate=fields.size("moe_intermediate_size"),
        correction_bias=fields.flag("use_expert_bias", default=True),
    )


def _lfm_width(fields: Fields) -> int:
    """Return the width that LFM2 makes of `block_ff_dim`: two thirds, times a factor, rounded up."""
    width = fields.size("block_ff_dim", intermediate_size(fields))
    if not fields.flag("block_auto_adjust_ff_dim", default=True):
        return width
    multiple = fields.size("block_multiple_of", 256)
    scaled = int(fields.number("block_ffn_dim_multiplier", 1.0) * int(2 * width / 3))
    return multiple * ceil(scaled / multiple)
