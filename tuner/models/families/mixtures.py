"""Mixtures of experts over ordinary attention. Pure."""

from collections.abc import Callable
from dataclasses import replace

from tuner.models.attention import Projections, each_dim, each_element
from tuner.models.decoder import Feed, Style, decoder, intermediate_size
from tuner.models.feedforward import Experts, Mlp, experts_parts, mlp_parts
from tuner.models.fields import Fields
from tuner.models.parts import Blueprint, Parts

_ALL: Callable[[int], bool] = lambda _: True  # noqa: E731


def routed(
    fields: Fields, style: Style, experts: Experts, *, sparse: Callable[[int], bool] = _ALL, dense: int | None = None
) -> Blueprint:
    """Return a decoder in which some feed-forward layers are mixtures.

    Args:
        fields: the language model's configuration.
        style: the family's.
        experts: what a mixture is made of.
        sparse: whether the layer of that index is a mixture.
        dense: width of the other feed-forward layers; `intermediate_size` where nothing is said.
    """
    whole = decoder(fields, style, feed=_feed(fields, style, experts, sparse, dense), kind=kind(experts))
    return visited(whole, experts)


def kind(experts: Experts) -> str:
    """Return what a mixture is, for people."""
    return f"mixture of {experts.experts} experts, {experts.active} active" + (" and shared" if experts.shared else "")


def visited(whole: Blueprint, experts: Experts) -> Blueprint:
    """Return the model with the width of all the experts that one token visits."""
    return replace(whole, intermediate=experts.active * experts.intermediate + experts.shared)


def _feed(fields: Fields, style: Style, experts: Experts, sparse: Callable[[int], bool], dense: int | None) -> Feed:
    hidden = fields.size("hidden_size")
    width = dense or intermediate_size(fields)

    def feed(scope: str, index: int) -> Parts:
        if sparse(index):
            return experts_parts(f"{scope}.mlp", hidden, experts)
        return mlp_parts(f"{scope}.mlp", hidden, width, style.mlp)

    return feed


def active(fields: Fields, default: int | None = None) -> int:
    """Return how many routed experts a token visits."""
    return fields.size("num_experts_per_tok", default)


def mixtral(fields: Fields) -> Blueprint:
    """Mixtral: eight experts in each layer."""
    return routed(fields, Style(), plain(fields))


def plain(fields: Fields) -> Experts:
    """Return experts as wide as `intermediate_size` says, with nothing beside them."""
    return Experts(fields.size("num_local_experts"), active(fields), intermediate_size(fields))


def qwen2_moe(fields: Fields) -> Blueprint:
    """Qwen1.5-MoE and Qwen2-MoE: a gated shared expert."""
    experts = Experts(
        experts=fields.size("num_local_experts"),
        active=active(fields),
        intermediate=fields.size("moe_intermediate_size"),
        shared=fields.count("shared_expert_intermediate_size", 0),
        shared_gate=True,
    )
    bias = Projections(qkv_bias=fields.flag("qkv_bias", default=True))
    return routed(fields, Style(bias), experts, sparse=sparse_step(fields))


def qwen3_moe(fields: Fields) -> Blueprint:
    """Qwen3-MoE: norms over queries and keys, no shared expert."""
    bias = fields.flag("attention_bias")
    experts = Experts(fields.size("num_local_experts"), active(fields), fields.size("moe_intermediate_size"))
    return routed(fields, Style(Projections(bias, bias, each_dim)), experts, sparse=sparse_step(fields))


def sparse_step(fields: Fields) -> Callable[[int], bool]:
    """Return which layers are mixtures by `decoder_sparse_step` and `mlp_only_layers` (Qwen)."""
    step = fields.size("decoder_sparse_step", 1)
    dense = set(fields.integers("mlp_only_layers"))
    return lambda index: index not in dense and (index + 1) % step == 0


def first_dense(fields: Fields, default: int = 0) -> Callable[[int], bool]:
    """Return which layers are mixtures by `first_k_dense_replace` and `moe_layer_freq` (DeepSeek)."""
    kinds = fields.strings("mlp_layer_types")
    if kinds:
        return lambda index: index < len(kinds) and kinds[index] == "sparse"
    first = fields.count("first_k_dense_replace", default)
    step = 1 if isinstance(fields.value("moe_layer_freq"), list) else fields.size("moe_layer_freq", 1)
    return lambda index: index >= first and index % step == 0


def shared(fields: Fields, *, correction: bool = False) -> Experts:
    """Return experts with shared ones counted in `n_shared_experts` (DeepSeek, GLM)."""
    width = fields.size("moe_intermediate_size")
    return Experts(
        experts=fields.size("num_local_experts"),
        active=active(fields),
        intermediate=width,
        shared=width * fields.count("n_shared_experts", 0),
        correction_bias=correction,
    )


def unknown(fields: Fields) -> Blueprint:
    """Return a mixture whose family is not known: the keys of DeepSeek and Mixtral decide."""
    width = fields.size("moe_intermediate_size", intermediate_size(fields))
    named = fields.count("shared_expert_intermediate_size", 0)
    experts = Experts(
        experts=fields.size("num_local_experts"),
        active=active(fields),
        intermediate=width,
        shared=named or width * fields.count("n_shared_experts", fields.count("num_shared_experts", 0)),
    )
    bias = fields.flag("attention_bias")
    return routed(fields, Style(Projections(bias, bias)), experts, sparse=first_dense(fields))


def deepseek(fields: Fields) -> Blueprint:
    """DeepSeek-MoE, the first: ordinary attention, shared experts."""
    return routed(fields, Style(), shared(fields), sparse=first_dense(fields))


def glm4_moe(fields: Fields) -> Blueprint:
    """GLM-4.5 and GLM-4.6."""
    head_norms = each_dim if fields.flag("use_qk_norm") else None
    style = Style(Projections(qkv_bias=fields.flag("attention_bias"), head_norms=head_norms))
    experts = replace(shared(fields, correction=True), router_float32=True)
    return routed(fields, style, experts, sparse=first_dense(fields, 1))


def dots1(fields: Fields) -> Blueprint:
    """dots.llm1: norms over queries and keys."""
    bias = fields.flag("attention_bias")
    style = Style(Projections(bias, bias, each_dim))
    return routed(fields, style, shared(fields, correction=True), sparse=first_dense(fields))


def olmoe(fields: Fields) -> Blueprint:
    """OLMoE: norms over all queries and all keys."""
    bias = fields.flag("attention_bias")
    return routed(fields, Style(Projections(bias, bias, each_element)), plain(fields))


def granite_moe(fields: Fields) -> Blueprint:
    """Granite 3 MoE, with a shared expert in some."""
    bias = fields.flag("attention_bias")
    experts = replace(plain(fields), shared=fields.count("shared_intermediate_size", 0))
    return routed(fields, Style(Projections(bias, bias)), experts)


def phimoe(fields: Fields) -> Blueprint:
    """Phi-3.5-MoE: norms with biases."""
    bias = fields.flag("attention_bias")
    style = Style(Projections(bias, bias), norm_bias=True, head_bias=fields.flag("lm_head_bias"))
    return routed(fields, style, plain(fields))


def dbrx(fields: Fields) -> Blueprint:
    """DBRX: sizes in `attn_config` and `ffn_config`."""
    attention, feed = fields.part("attn_config"), fields.part("ffn_config")
    experts = Experts(feed.size("moe_num_experts", 4), feed.size("moe_top_k", 1), feed.size("ffn_hidden_size", 3584))
    known = fields.replacing({"num_key_value_heads": attention.size("kv_n_heads", 1)})
    return routed(known, Style(), experts)


def gpt_oss(fields: Fields) -> Blueprint:
    """gpt-oss: sinks, biases everywhere, a window in every other layer."""
    experts = replace(plain(fields), router_bias=True, bias=True)
    return routed(fields, Style(Projections(qkv_bias=True, out_bias=True, sinks=True), every=2), experts)


def llama4(fields: Fields) -> Blueprint:
    """Llama 4: chunked attention with a position embedding, full attention without one in every fourth layer."""
    layers = fields.size("num_hidden_layers")
    step = fields.size("interleave_moe_layer_step", 1)
    given = fields.integers("moe_layers")
    moe = set(given) if given else set(range(step - 1, layers, step))
    interval = fields.size("no_rope_layer_interval", 4)
    rope = fields.integers("no_rope_layers") or [int((i + 1) % interval != 0) for i in range(layers)]
    types = fields.strings("layer_types") or ["chunked_attention" if turned else "full_attention" for turned in rope]
    width = intermediate_size(fields)
    bias = fields.flag("attention_bias")
    experts = Experts(fields.size("num_local_experts"), active(fields), width, shared=width)
    return routed(
        fields.replacing({"layer_types": types}),
        Style(Projections(bias, bias)),
        experts,
        sparse=lambda index: index in moe,
        dense=fields.size("intermediate_size_mlp", width),
    )


def minimax_m2(fields: Fields) -> Blueprint:
    """MiniMax-M2: norms over all queries and all keys, no shared expert."""
    head_norms = each_element if fields.flag("use_qk_norm", default=True) else None
    experts = replace(plain(fields), correction_bias=True, router_float32=True)
    return routed(fields, Style(Projections(head_norms=head_norms)), experts)


def ernie_moe(fields: Fields) -> Blueprint:
    """ERNIE 4.5 MoE."""
    layers = fields.size("num_hidden_layers")
    first, last = fields.count("moe_layer_start_index", 1), fields.value("moe_layer_end_index")
    end = last if isinstance(last, int) and last >= 0 else layers - 1
    step = fields.size("moe_layer_interval", 1)
    bias = fields.flag("use_bias")
    width = fields.size("moe_intermediate_size")
    experts = Experts(
        experts=fields.size("num_local_experts"),
        active=active(fields),
        intermediate=width,
        shared=width * fields.count("moe_num_shared_experts", 0),
        correction_bias=True,
        router_float32=True,
        bias=bias,
    )
    return routed(
        fields,
        Style(Projections(bias, bias), Mlp(bias=bias)),
        experts,
        sparse=lambda index: first <= index <= end and (index + 1) % step == 0,
    )


def hunyuan_moe(fields: Fields) -> Blueprint:
    """Hunyuan-A13B: a shared expert, norms over queries and keys."""
    bias = fields.flag("attention_bias")
    width = _first(fields, "moe_intermediate_size", intermediate_size(fields))
    experts = Experts(
        experts=_first(fields, "num_local_experts"),
        active=_first(fields, "num_experts_per_tok"),
        intermediate=width,
        shared=width * _first(fields, "num_shared_expert", 1),
    )
    return routed(fields, Style(Projections(bias, bias, each_dim)), experts)


def _first(fields: Fields, name: str, default: int | None = None) -> int:
    """Return a size that some configurations give for each layer, always the same."""
    return fields.integers(name)[0] if isinstance(fields.value(name), list) else fields.size(name, default)
