"""Dense decoders of the first years: learned positions, biases, names of their own. Pure."""

from dataclasses import replace

from tuner.domain.model import WeightUse
from tuner.models.attention import Projections
from tuner.models.decoder import Style, decoder
from tuner.models.feedforward import Mlp
from tuner.models.fields import Fields
from tuner.models.parts import Blueprint, linear

_VOCABULARY = {"model.embed_tokens", "lm_head"}
_BIASED = Projections(qkv_bias=True, out_bias=True)
_PLAIN = Mlp(gated=False, bias=True)


def gpt2(fields: Fields) -> Blueprint:
    """GPT-2: biases everywhere, learned positions."""
    return decoder(fields, Style(_BIASED, _PLAIN, norm_bias=True, positions=_positions(fields), rotary=False))


def gpt_bigcode(fields: Fields) -> Blueprint:
    """StarCoder and SantaCoder: GPT-2 with one head of keys and values."""
    kv_heads = 1 if fields.flag("multi_query", default=True) else fields.size("num_attention_heads")
    return gpt2(fields.replacing({"num_key_value_heads": kv_heads}))


def gpt_neox(fields: Fields) -> Blueprint:
    """GPT-NeoX and Pythia."""
    bias = fields.flag("attention_bias", default=True)
    return decoder(fields, Style(Projections(bias, bias), _PLAIN, norm_bias=True))


def gptj(fields: Fields) -> Blueprint:
    """GPT-J: no biases in attention, one norm for both branches."""
    return decoder(fields, Style(Projections(), _PLAIN, norms=1, norm_bias=True, head_bias=True))


def starcoder2(fields: Fields) -> Blueprint:
    """StarCoder 2."""
    bias = fields.flag("use_bias", default=True)
    return decoder(fields, Style(Projections(bias, bias), Mlp(gated=False, bias=bias), norm_bias=True))


def falcon(fields: Fields) -> Blueprint:
    """Falcon: one head of keys and values, or groups of them in the newer arrangement."""
    bias = fields.flag("bias")
    newer = fields.flag("new_decoder_architecture")
    heads = fields.size("num_attention_heads")
    kv_heads = fields.size("num_key_value_heads", heads)
    if not newer:
        kv_heads = 1 if fields.flag("multi_query", default=True) else heads
    parallel = fields.flag("parallel_attn", default=True)
    norms = fields.size("num_ln_in_parallel_attn", 2) if newer else 1 if parallel else 2
    style = Style(Projections(bias, bias), Mlp(gated=False, bias=bias), norms=norms, norm_bias=True)
    return decoder(fields.replacing({"num_key_value_heads": kv_heads}), style)


def mpt(fields: Fields) -> Blueprint:
    """MPT: no biases at all where `no_bias` is true."""
    bias = not fields.flag("no_bias", default=True)
    width = round(fields.number("expansion_ratio", 4) * fields.size("hidden_size"))
    kv_heads = fields.part("attn_config").size("kv_n_heads", fields.size("num_attention_heads"))
    style = Style(Projections(bias, bias), Mlp(gated=False, bias=bias), norm_bias=bias, rotary=False)
    return decoder(fields.replacing({"num_key_value_heads": kv_heads, "intermediate_size": width}), style)


def bloom(fields: Fields) -> Blueprint:
    """BLOOM: a norm after the embedding."""
    return decoder(fields, Style(_BIASED, _PLAIN, norm_bias=True, embedding_norm=True, rotary=False))


def opt(fields: Fields) -> Blueprint:
    """OPT: learned positions with two spare rows; the embedding may be narrower than the layers."""
    bias = fields.flag("enable_bias", default=True)
    final = fields.flag("do_layer_norm_before", default=True) and not fields.flag("_remove_final_layer_norm")
    style = Style(
        Projections(bias, bias),
        Mlp(gated=False, bias=bias),
        norm_bias=fields.flag("layer_norm_elementwise_affine", default=True),
        positions=fields.size("max_position_embeddings") + 2,
        final_norm=final,
        rotary=False,
    )
    whole = decoder(fields, style)
    return _narrow(whole, fields.size("word_embed_proj_dim", whole.hidden))


def _narrow(whole: Blueprint, width: int) -> Blueprint:
    """Return the model with a narrower embedding, and projections from and to it."""
    if width == whole.hidden:
        return whole
    rest = [replace(part, inputs=width) if part.name in _VOCABULARY else part for part in whole.rest]
    use = WeightUse.REPLICATED
    projections = (
        *linear("model.project_in", use, width, whole.hidden),
        *linear("model.project_out", use, whole.hidden, width),
    )
    return replace(whole, rest=(*rest, *projections))


def _positions(fields: Fields) -> int:
    return fields.size("max_position_embeddings", fields.size("n_positions", 1024))
