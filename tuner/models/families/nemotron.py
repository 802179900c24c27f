"""Nemotron-H and Nemotron 3: each layer is one thing, by a pattern. Pure."""

from tuner.domain.errors import InputError
from tuner.models.attention import Heads, Projections, attention_parts
from tuner.models.decoder import Style, assemble, ends, intermediate_size, norms
from tuner.models.families.mixtures import active, kind, visited
from tuner.models.feedforward import Experts, Mlp, experts_parts, mlp_parts
from tuner.models.fields import Fields
from tuner.models.parts import Blueprint, Layer
from tuner.models.states import Mamba2, state_bytes


def nemotron_h(fields: Fields) -> Blueprint:
    """Nemotron-H and Nemotron 3: each layer is one thing, a state, attention, an MLP or a mixture, by a pattern."""
    hidden, width = fields.size("hidden_size"), intermediate_size(fields)
    heads = Heads.read(fields)
    heads_count = fields.size("mamba_num_heads", 128)
    head_dim = fields.size("mamba_head_dim", 64)
    state = Mamba2(
        hidden=hidden,
        heads=heads_count,
        head_dim=head_dim,
        groups=_either(fields, "n_groups", "mamba_n_groups", 8),
        state=fields.size("ssm_state_size", 128),
        kernel=_either(fields, "conv_kernel", "mamba_d_conv", 4),
        inner=heads_count * head_dim,
        conv_bias=fields.flag("use_conv_bias", default=True),
        in_bias=fields.flag("use_bias"),
        out_bias=fields.flag("use_bias"),
        state_bytes=state_bytes(fields, "mamba_ssm_cache_dtype", default=4),
    )
    bias = fields.flag("attention_bias")
    mlp = Mlp(gated=False, bias=fields.flag("mlp_bias"))
    kinds = _pattern(fields)
    experts = _nemotron_experts(fields) if "moe" in kinds else None
    style = Style(Projections(bias, bias), norms=1)

    def layer(index: int, what: str) -> Layer:
        scope = f"model.layers.{index}"
        tail = norms(scope, style, hidden)
        if what == "moe" and experts:
            return Layer((), (*experts_parts(f"{scope}.mixer", hidden, experts), *tail))
        if what == "mlp":
            return Layer((), (*mlp_parts(f"{scope}.mixer", hidden, width, mlp), *tail))
        if what == "attention":
            return Layer((heads.full(),), (*attention_parts(f"{scope}.mixer", heads, style.attention), *tail))
        return Layer((state.cache(),), (*state.parts(f"{scope}.mixer"), *tail))

    whole = assemble(
        fields,
        [layer(index, what) for index, what in enumerate(kinds)],
        rest=ends(fields, style),
        kind=f"{kind(experts) if experts else 'dense'}, {heads.kind} in {kinds.count('attention')} of {len(kinds)} "
        f"layers, a state of fixed size in {kinds.count('state')}",
        intermediate=width,
    )
    return visited(whole, experts) if experts else whole


def _nemotron_experts(fields: Fields) -> Experts:
    return Experts(
        experts=fields.size("num_local_experts", 8),
        active=active(fields, 2),
        intermediate=fields.size("moe_intermediate_size", 7688),
        shared=fields.size("moe_shared_expert_intermediate_size", 7688) * fields.count("n_shared_experts", 1),
        correction_bias=True,
        bias=fields.flag("mlp_bias"),
        gated=False,
        latent=fields.count("moe_latent_size", 0),
    )


def _either(fields: Fields, first: str, second: str, default: int) -> int:
    return fields.size(second) if second in fields else fields.size(first, default)


def _pattern(fields: Fields) -> list[str]:
    """Return what each layer of a Nemotron-H is."""
    marks = {"M": "state", "*": "attention", "-": "mlp", "E": "moe"}
    given = fields.text("hybrid_override_pattern")
    if given:
        unknown = set(given) - set(marks)
        if unknown:
            raise fields.wrong("hybrid_override_pattern", f"a string of {' '.join(marks)}")
        return [marks[mark] for mark in given]
    names = {"mamba": "state", "linear_attention": "state", "full_attention": "attention"}
    kinds = fields.strings("layers_block_type") or fields.strings("layer_types")
    if not kinds:
        raise InputError("hybrid_override_pattern is missing", where=fields.where)
    return [names.get(name, name) for name in kinds]
