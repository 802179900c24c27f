"""Dense decoders with today's names for their keys: Llama and what followed it. Pure."""

from dataclasses import replace

from tuner.domain.model import WeightUse
from tuner.models.attention import Heads, Projections, each_dim, each_element
from tuner.models.decoder import Style, decoder
from tuner.models.feedforward import Mlp
from tuner.models.fields import Fields
from tuner.models.parts import Blueprint, Layer, Part, vector

_MLLAMA_EXTRA_ROWS = 8
"""Embedding rows of special tokens beyond the vocabulary."""


def llama(fields: Fields) -> Blueprint:
    """Llama, Mistral, Yi, SmolLM, Granite, Helium …: biases where the configuration asks for them."""
    bias = fields.flag("attention_bias") or fields.flag("bias")
    return decoder(
        fields,
        Style(attention=Projections(qkv_bias=bias, out_bias=bias), mlp=Mlp(bias=fields.flag("mlp_bias"))),
    )


def mistral(fields: Fields) -> Blueprint:
    """Mistral, Phi-3, MiniCPM: no biases at all."""
    return decoder(fields, Style())


def qwen2(fields: Fields) -> Blueprint:
    """Qwen2 and Qwen2.5: biases on queries, keys and values, always."""
    return decoder(fields, Style(attention=Projections(qkv_bias=True)))


def qwen3(fields: Fields) -> Blueprint:
    """Qwen3 and Hunyuan: norms over queries and keys."""
    bias = fields.flag("attention_bias")
    return decoder(fields, Style(attention=Projections(qkv_bias=bias, out_bias=bias, head_norms=each_dim)))


def qwen(fields: Fields) -> Blueprint:
    """Qwen, the first: `intermediate_size` is that of both halves together."""
    half = fields.size("intermediate_size") // 2
    return decoder(fields.replacing({"intermediate_size": half}), Style(Projections(qkv_bias=True)))


def phi(fields: Fields) -> Blueprint:
    """Phi 1, 1.5 and 2: biases everywhere, one norm for both branches."""
    attention = Projections(qkv_bias=True, out_bias=True)
    return decoder(fields, Style(attention, Mlp(gated=False, bias=True), norms=1, norm_bias=True, head_bias=True))


def glm(fields: Fields) -> Blueprint:
    """GLM-4-9B in transformers' naming."""
    return decoder(fields, Style(Projections(qkv_bias=fields.flag("attention_bias"))))


def glm4(fields: Fields) -> Blueprint:
    """GLM-4-0414: two more norms."""
    return decoder(fields, Style(Projections(qkv_bias=fields.flag("attention_bias")), norms=4))


def cohere(fields: Fields) -> Blueprint:
    """Command-R and Command-R7B: one norm for both branches; the latter's window in three layers of four."""
    bias = fields.flag("attention_bias")
    head_norms = each_element if fields.flag("use_qk_norm") else None
    window = fields.count("sliding_window", 0)
    known = fields.replacing({"sliding_window": window + 1}) if window else fields  # the token itself is one more
    return decoder(known, Style(Projections(bias, bias, head_norms), norms=1, every=4))


def olmo(fields: Fields) -> Blueprint:
    """OLMo, the first: norms without weights."""
    bias = fields.flag("attention_bias")
    return decoder(fields, Style(Projections(bias, bias), norms=0, final_norm=False))


def olmo2(fields: Fields) -> Blueprint:
    """OLMo 2 and 3: norms over all queries and over all keys; OLMo 3 with a window in three layers of four."""
    bias = fields.flag("attention_bias")
    return decoder(fields, Style(Projections(bias, bias, each_element), every=4))


def stablelm(fields: Fields) -> Blueprint:
    """StableLM: norms with biases; one of them where both branches are parallel."""
    per_head = fields.flag("qk_layernorm")
    attention = Projections(qkv_bias=fields.flag("use_qkv_bias"), head_norms=each_element if per_head else None)
    norms = 1 if fields.flag("use_parallel_residual") else 2
    return decoder(fields, Style(attention, norms=norms, norm_bias=True))


def exaone4(fields: Fields) -> Blueprint:
    """EXAONE 4: norms over queries and keys; a window by pattern."""
    return decoder(fields, Style(Projections(head_norms=each_dim), every=4))


def seed_oss(fields: Fields) -> Blueprint:
    """Seed-OSS: biases chosen one by one."""
    attention = Projections(qkv_bias=fields.flag("attention_bias"), out_bias=fields.flag("attention_out_bias"))
    return decoder(fields, Style(attention, Mlp(bias=fields.flag("mlp_bias"))))


def ernie(fields: Fields) -> Blueprint:
    """ERNIE 4.5."""
    bias = fields.flag("use_bias")
    return decoder(fields, Style(Projections(bias, bias), Mlp(bias=bias)))


def nemotron(fields: Fields) -> Blueprint:
    """Nemotron and Minitron: no gate, norms with biases."""
    bias = fields.flag("attention_bias")
    return decoder(
        fields, Style(Projections(bias, bias), Mlp(gated=False, bias=fields.flag("mlp_bias")), norm_bias=True)
    )


def arcee(fields: Fields) -> Blueprint:
    """Arcee: Llama without the gate."""
    bias = fields.flag("attention_bias")
    return decoder(fields, Style(Projections(bias, bias), Mlp(gated=False, bias=fields.flag("mlp_bias"))))


def internlm2(fields: Fields) -> Blueprint:
    """InternLM2: biases on all of attention, or none."""
    bias = fields.flag("bias")
    return decoder(fields, Style(Projections(bias, bias)))


def chatglm(fields: Fields) -> Blueprint:
    """ChatGLM2, ChatGLM3 and GLM-4 in their own naming."""
    groups = fields.size("multi_query_group_num", 1) if fields.flag("multi_query_attention") else None
    bias = fields.flag("add_bias_linear")
    known = fields.replacing({"num_key_value_heads": groups}) if groups else fields
    attention = Projections(qkv_bias=bias or fields.flag("add_qkv_bias"), out_bias=bias)
    final = fields.flag("post_layer_norm", default=True)
    return decoder(known, Style(attention, Mlp(bias=bias), final_norm=final))


def apertus(fields: Fields) -> Blueprint:
    """Apertus: no gate, norms over queries and keys."""
    bias = fields.flag("attention_bias")
    mlp = Mlp(gated=False, bias=fields.flag("mlp_bias"), activation=2)
    return decoder(fields, Style(Projections(bias, bias, each_dim), mlp))


def mllama(fields: Fields) -> Blueprint:
    """Llama 3.2 Vision: some layers attend to the image, with norms over queries and keys and two gates."""
    whole = llama(fields)
    crossing = set(fields.integers("cross_attention_layers"))
    more = 2 * Heads.read(fields).head_dim + 2
    layers = tuple(
        Layer((), (*layer.parts, *vector(f"model.layers.{index}.cross_attn", more))) if index in crossing else layer
        for index, layer in enumerate(whole.layers)
    )
    extra = Part("model.embed_tokens.extra", WeightUse.EMBEDDING, _MLLAMA_EXTRA_ROWS, whole.hidden, read=0.0)
    note = f"what {len(crossing)} cross-attention layers keep of images is left out"
    return replace(whole, layers=layers, rest=(*whole.rest, extra), notes=(note,))
