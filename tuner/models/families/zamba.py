"""Zamba 2: Mamba 2 with a few attention blocks that many layers share, each with adapters of its own. Pure."""

from tuner.domain.model import FullAttention, WeightUse
from tuner.models.attention import Heads
from tuner.models.decoder import Style, assemble, ends
from tuner.models.fields import Fields
from tuner.models.parts import Blueprint, Layer, Parts, linear, norm
from tuner.models.states import Mamba2

_HYBRID = {"hybrid", "g"}


def zamba2(fields: Fields) -> Blueprint:
    """Return a Zamba 2."""
    hidden = fields.size("hidden_size")
    state = _state(fields, hidden)
    heads = fields.size("num_attention_heads")
    head_dim = 2 * hidden // heads
    kv_heads = fields.size("num_key_value_heads", heads)
    cache = FullAttention(kv_heads=kv_heads, head_dim=head_dim, value_dim=head_dim)
    kinds = fields.strings("layers_block_type") or fields.strings("layer_types")
    attends = [name in _HYBRID for name in kinds] or [False] * fields.size("num_hidden_layers")
    width = fields.size("intermediate_size", 4 * hidden)

    def layer(index: int, *, hybrid: bool) -> Layer:
        scope = f"model.layers.{index}"
        mixer = (*state.parts(f"{scope}.mamba"), *norm(f"{scope}.input_layernorm", hidden))
        if not hybrid:
            return Layer((state.cache(),), mixer)
        return Layer((cache, state.cache()), (*mixer, *_own(scope, fields, hidden, width)))

    shared = min(sum(attends), fields.size("num_mem_blocks", 1))
    blocks = tuple(
        part
        for index in range(shared)
        for part in _block(f"model.blocks.{index}", fields, Heads(hidden, heads, kv_heads, head_dim, head_dim), width)
    )
    return assemble(
        fields,
        [layer(index, hybrid=hybrid) for index, hybrid in enumerate(attends)],
        rest=(*ends(fields, Style()), *blocks),
        kind=f"dense, shared attention in {sum(attends)} of {len(attends)} layers, a state of fixed size in each",
        intermediate=width,
    )


def _state(fields: Fields, hidden: int) -> Mamba2:
    inner = fields.size("mamba_expand", 2) * hidden
    heads = fields.size("n_mamba_heads", 8)
    bias = fields.flag("add_bias_linear")
    return Mamba2(
        hidden=hidden,
        heads=heads,
        head_dim=inner // heads,
        groups=fields.size("mamba_ngroups", 1),
        state=fields.size("mamba_d_state", 64),
        kernel=fields.size("mamba_d_conv", 4),
        inner=inner,
        conv_bias=fields.flag("use_conv_bias", default=True),
        in_bias=bias,
        out_bias=bias,
    )


def _own(scope: str, fields: Fields, hidden: int, width: int) -> Parts:
    """Return what a layer adds to the block that it shares: a projection and low-rank adapters."""
    rank = fields.size("adapter_rank", 128)
    use = WeightUse.ATTENTION
    adapters = 3 if fields.flag("use_shared_attention_adapter") else 0
    attention = (
        (
            *linear(f"{scope}.adapter_down", use, 2 * hidden, rank, copies=adapters),
            *linear(f"{scope}.adapter_up", use, rank, 2 * hidden, copies=adapters),
        )
        if adapters
        else ()
    )
    return (
        *linear(f"{scope}.linear", use, hidden, hidden),
        *attention,
        *linear(f"{scope}.mlp_adapter_down", WeightUse.MLP, hidden, rank),
        *linear(f"{scope}.mlp_adapter_up", WeightUse.MLP, rank, 2 * width),
    )


def _block(scope: str, fields: Fields, heads: Heads, width: int) -> Parts:
    bias = fields.flag("add_bias_linear")
    wide, keys = 2 * heads.hidden, heads.kv_heads * heads.head_dim
    return (
        *linear(f"{scope}.q_proj", WeightUse.ATTENTION, wide, heads.heads * heads.head_dim),
        *linear(f"{scope}.k_proj", WeightUse.KV_PROJECTION, wide, keys),
        *linear(f"{scope}.v_proj", WeightUse.KV_PROJECTION, wide, keys),
        *linear(f"{scope}.o_proj", WeightUse.ATTENTION, heads.heads * heads.head_dim, heads.hidden),
        *linear(f"{scope}.gate_up_proj", WeightUse.MLP, heads.hidden, 2 * width, bias=bias),
        *linear(f"{scope}.down_proj", WeightUse.MLP, width, heads.hidden, bias=bias),
        *norm(f"{scope}.input_layernorm", wide),
        *norm(f"{scope}.pre_ff_layernorm", heads.hidden),
    )
