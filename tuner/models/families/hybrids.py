"""Models with layers that keep a state instead of keys and values, alone or among attention layers. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tuner.models.attention import Heads, Projections, attention_parts
from tuner.models.decoder import Style, assemble, ends, intermediate_size, norms
from tuner.models.families.mixtures import active, kind, visited
from tuner.models.feedforward import Experts, Mlp, experts_parts, mlp_parts
from tuner.models.fields import Fields
from tuner.models.parts import Blueprint, Layer, Parts
from tuner.models.states import DeltaNet, Lightning, Mamba1, Mamba2, ShortConv

State = Mamba1 | Mamba2 | DeltaNet | ShortConv | Lightning
ATTENTION = {"attention", "full_attention", "hybrid"}


def interleaved(
    fields: Fields,
    state: State,
    attention: Sequence[bool],
    feed: Callable[[str, int], Parts],
    *,
    style: Style | None = None,
    name: str = "dense",
) -> Blueprint:
    """Return a model in which each layer is either attention or a state, and then a feed-forward part.

    Args:
        fields: the language model's configuration.
        state: the layers that keep one.
        attention: which layers are attention.
        feed: given a layer's scope and index, its feed-forward part.
        style: the family's.
        name: what the feed-forward layers are, for people.
    """
    how = style or Style()
    heads = Heads.read(fields)
    layers: list[Layer] = []
    for index, attends in enumerate(attention):
        scope = f"model.layers.{index}"
        mixer = (
            attention_parts(f"{scope}.self_attn", heads, how.attention) if attends else state.parts(f"{scope}.mamba")
        )
        cache = heads.full() if attends else state.cache()
        layers.append(Layer((cache,), (*mixer, *feed(scope, index), *norms(scope, how, heads.hidden))))
    return assemble(
        fields,
        layers,
        rest=ends(fields, how),
        kind=f"{name}, {heads.kind} in {sum(attention)} of {len(layers)} layers, a state of fixed size in the others",
        intermediate=intermediate_size(fields),
    )


def _alone(fields: Fields, state: State, *, name: str) -> Blueprint:
    """Return a model of nothing but state layers, one norm each."""
    style = Style(norms=1)
    hidden = fields.size("hidden_size")
    layers = [
        Layer((state.cache(),), (*state.parts(f"model.layers.{i}.mixer"), *norms(f"model.layers.{i}", style, hidden)))
        for i in range(fields.size("num_hidden_layers"))
    ]
    width = fields.size("intermediate_size", 2 * hidden)
    return assemble(fields, layers, rest=ends(fields, style), kind=name, intermediate=width)


def mamba(fields: Fields) -> Blueprint:
    """Mamba and Falcon-Mamba."""
    hidden = fields.size("hidden_size")
    state = Mamba1(
        hidden=hidden,
        inner=fields.size("intermediate_size", fields.size("expand", 2) * hidden),
        state=fields.size("state_size", 16),
        kernel=fields.size("conv_kernel", 4),
        rank=Mamba1.rank_of(fields, "time_step_rank"),
        conv_bias=fields.flag("use_conv_bias", default=True),
        bias=fields.flag("use_bias"),
    )
    return _alone(fields, state, name="state space (Mamba)")


def mamba2(fields: Fields) -> Blueprint:
    """Mamba 2 and Codestral Mamba."""
    hidden = fields.size("hidden_size")
    heads, head_dim = fields.size("num_heads", 128), fields.size("head_dim", 64)
    bias = fields.flag("use_bias")
    state = Mamba2(
        hidden=hidden,
        heads=heads,
        head_dim=head_dim,
        groups=fields.size("n_groups", 8),
        state=fields.size("state_size", 128),
        kernel=fields.size("conv_kernel", 4),
        inner=fields.size("expand", 2) * hidden,
        conv_bias=fields.flag("use_conv_bias", default=True),
        in_bias=bias,
        out_bias=bias,
    )
    return replace(_alone(fields, state, name="state space (Mamba 2)"), heads=heads)


def jamba(fields: Fields) -> Blueprint:
    """Jamba: Mamba with attention in every eighth layer, a mixture in every other."""
    hidden, width = fields.size("hidden_size"), intermediate_size(fields)
    state = Mamba1(
        hidden=hidden,
        inner=fields.size("mamba_expand", 2) * hidden,
        state=fields.size("mamba_d_state", 16),
        kernel=fields.size("mamba_d_conv", 4),
        rank=Mamba1.rank_of(fields, "mamba_dt_rank"),
        conv_bias=fields.flag("mamba_conv_bias", default=True),
        bias=fields.flag("mamba_proj_bias"),
        inner_norms=True,
    )
    experts = Experts(fields.size("num_local_experts", 16), active(fields, 2), width)
    sparse = _every(fields, "expert_layer")
    attends = _every(fields, "attn_layer")

    def feed(scope: str, index: int) -> Parts:
        if experts.experts > 1 and sparse(index):
            return experts_parts(f"{scope}.feed_forward", hidden, experts)
        return mlp_parts(f"{scope}.feed_forward", hidden, width, Mlp())

    attention = [attends(index) for index in range(fields.size("num_hidden_layers"))]
    name = kind(experts) if experts.experts > 1 else "dense"
    whole = interleaved(fields, state, attention, feed, name=name)
    return visited(whole, experts) if experts.experts > 1 else whole


def bamba(fields: Fields) -> Blueprint:
    """Bamba: Mamba 2 with attention in a few layers."""
    hidden, width = fields.size("hidden_size"), intermediate_size(fields)
    mlp = Mlp(bias=fields.flag("mlp_bias"))
    given = set(fields.integers("attn_layer_indices"))
    attention = [index in given for index in range(fields.size("num_hidden_layers"))]
    bias = fields.flag("attention_bias")
    return interleaved(
        fields,
        _mamba_2(fields),
        attention,
        lambda scope, _: mlp_parts(f"{scope}.feed_forward", hidden, width, mlp),
        style=Style(Projections(bias, bias)),
    )


def granite_hybrid(fields: Fields) -> Blueprint:
    """Granite 4: Mamba 2 with attention in a few layers, a mixture beside a shared MLP in the larger ones."""
    hidden = fields.size("hidden_size")
    shared = fields.size("shared_intermediate_size", 1024)
    count = fields.count("num_local_experts", 0)
    experts = Experts(count, active(fields, 8), intermediate_size(fields), shared=shared) if count else None
    given = fields.strings("layer_types") or fields.strings("layers_block_type")
    attention = [name in ATTENTION for name in given] or [False] * fields.size("num_hidden_layers")
    bias = fields.flag("attention_bias")

    def feed(scope: str, _: int) -> Parts:
        if experts:
            return experts_parts(f"{scope}.block_sparse_moe", hidden, experts)
        return mlp_parts(f"{scope}.shared_mlp", hidden, shared, Mlp())

    name = kind(experts) if experts else "dense"
    style = Style(Projections(bias, bias))
    whole = interleaved(fields, _mamba_2(fields), attention, feed, style=style, name=name)
    return visited(whole, experts) if experts else replace(whole, intermediate=shared)


def falcon_h1(fields: Fields) -> Blueprint:
    """Falcon-H1: attention and Mamba 2 side by side in each layer, so that each keeps both."""
    hidden, width = fields.size("hidden_size"), intermediate_size(fields)
    heads = Heads.read(fields)
    inner = fields.size("mamba_d_ssm", fields.size("mamba_expand", 2) * hidden)
    state = replace(
        _mamba_2(fields),
        inner=inner,
        gated_norm=fields.flag("mamba_rms_norm"),
        out_bias=fields.flag("projectors_bias"),
        head_dim=inner // fields.size("mamba_n_heads", 128),
    )
    bias = fields.flag("attention_bias")
    style = Style(Projections(bias, bias))
    mlp = Mlp(bias=fields.flag("mlp_bias"))

    def layer(index: int) -> Layer:
        scope = f"model.layers.{index}"
        parts = (
            *attention_parts(f"{scope}.self_attn", heads, style.attention),
            *state.parts(f"{scope}.mamba"),
            *mlp_parts(f"{scope}.feed_forward", hidden, width, mlp),
            *norms(scope, style, hidden),
        )
        return Layer((heads.full(), state.cache()), parts)

    return assemble(
        fields,
        [layer(index) for index in range(fields.size("num_hidden_layers"))],
        rest=ends(fields, style),
        kind=f"dense, {heads.kind} and a state of fixed size in each layer",
        intermediate=width,
        rotary=heads.head_dim,
    )


def _mamba_2(fields: Fields) -> Mamba2:
    """Read the `mamba_*` keys that Bamba, Granite 4 and Falcon-H1 share."""
    hidden = fields.size("hidden_size")
    inner = fields.size("mamba_expand", 2) * hidden
    heads = fields.size("mamba_n_heads", 128)
    bias = fields.flag("mamba_proj_bias")
    return Mamba2(
        hidden=hidden,
        heads=heads,
        head_dim=inner // heads,
        groups=fields.size("mamba_n_groups", 1),
        state=fields.size("mamba_d_state", 256),
        kernel=fields.size("mamba_d_conv", 4),
        inner=inner,
        conv_bias=fields.flag("mamba_conv_bias", default=True),
        in_bias=bias,
        out_bias=bias,
    )


def _every(fields: Fields, prefix: str) -> Callable[[int], bool]:
    period, offset = fields.size(f"{prefix}_period", 1), fields.count(f"{prefix}_offset", 0)
    return lambda index: index % period == offset
