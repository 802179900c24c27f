"""Which family reads which `model_type`. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tuner.domain.errors import InputError
from tuner.models.families import deepseek, dense, gemma, hybrids, linear, mixtures, nemotron, older, zamba
from tuner.models.fields import Fields, Raw, family_defaults
from tuner.models.parts import Blueprint

Build = Callable[[Fields], Blueprint]

FAMILIES: Mapping[str, Build] = {
    "apertus": dense.apertus,
    "aquila": dense.llama,
    "arcee": dense.arcee,
    "baichuan": dense.mistral,
    "bamba": hybrids.bamba,
    "bloom": older.bloom,
    "chatglm": dense.chatglm,
    "cohere": dense.cohere,
    "cohere2": dense.cohere,
    "dbrx": mixtures.dbrx,
    "deepseek": mixtures.deepseek,
    "deepseek_v2": deepseek.deepseek_v2,
    "deepseek_v3": deepseek.deepseek_v3,
    "deepseek_v32": deepseek.deepseek_v3,
    "dots1": mixtures.dots1,
    "ernie4_5": dense.ernie,
    "ernie4_5_moe": mixtures.ernie_moe,
    "exaone4": dense.exaone4,
    "falcon": older.falcon,
    "falcon_h1": hybrids.falcon_h1,
    "falcon_mamba": hybrids.mamba,
    "gemma": gemma.gemma,
    "gemma2": gemma.gemma2,
    "gemma3_text": gemma.gemma3,
    "gemma3n_text": gemma.gemma3n,
    "gemma4_text": gemma.gemma4,
    "glm": dense.glm,
    "glm4": dense.glm4,
    "glm4_moe": mixtures.glm4_moe,
    "glm4_moe_lite": deepseek.deepseek_v3,
    "glm_moe_dsa": deepseek.deepseek_v3,
    "gpt2": older.gpt2,
    "gpt_bigcode": older.gpt_bigcode,
    "gpt_neox": older.gpt_neox,
    "gpt_oss": mixtures.gpt_oss,
    "gptj": older.gptj,
    "granite": dense.llama,
    "granitemoe": mixtures.granite_moe,
    "granitemoehybrid": hybrids.granite_hybrid,
    "granitemoeshared": mixtures.granite_moe,
    "helium": dense.llama,
    "hunyuan_v1_dense": dense.qwen3,
    "hunyuan_v1_moe": mixtures.hunyuan_moe,
    "internlm": dense.llama,
    "internlm2": dense.internlm2,
    "internlm3": dense.llama,
    "jamba": hybrids.jamba,
    "kimi_k2": deepseek.deepseek_v3,
    "lfm2": linear.lfm2,
    "lfm2_moe": linear.lfm2,
    "llama": dense.llama,
    "llama4_text": mixtures.llama4,
    "mamba": hybrids.mamba,
    "mamba2": hybrids.mamba2,
    "minicpm": dense.mistral,
    "minimax": linear.minimax,
    "minimax_m2": mixtures.minimax_m2,
    "ministral": dense.mistral,
    "ministral3": dense.mistral,
    "mistral": dense.mistral,
    "mixtral": mixtures.mixtral,
    "mllama_text_model": dense.mllama,
    "mpt": older.mpt,
    "nemotron": dense.nemotron,
    "nemotron_h": nemotron.nemotron_h,
    "olmo": dense.olmo,
    "olmo2": dense.olmo2,
    "olmo3": dense.olmo2,
    "olmoe": mixtures.olmoe,
    "opt": older.opt,
    "phi": dense.phi,
    "phi3": dense.mistral,
    "phimoe": mixtures.phimoe,
    "qwen": dense.qwen,
    "qwen2": dense.qwen2,
    "qwen2_moe": mixtures.qwen2_moe,
    "qwen3": dense.qwen3,
    "qwen3_moe": mixtures.qwen3_moe,
    "qwen3_next": linear.qwen3_next,
    "seed_oss": dense.seed_oss,
    "smollm3": dense.llama,
    "stablelm": dense.stablelm,
    "starcoder2": older.starcoder2,
    "zamba2": zamba.zamba2,
}

_ALIASES = {
    "glm4v": "glm4",
    "glm4v_moe": "glm4_moe",
    "glm4v_text": "glm4",
    "llava": "llama",
    "llava_next": "llama",
    "mimo": "qwen2",
    "mistral3": "mistral",
    "paligemma": "gemma",
    "pixtral": "mistral",
    "qwen2_5_vl": "qwen2",
    "qwen2_vl": "qwen2",
    "qwen3_5": "qwen3_next",
    "qwen3_5_moe": "qwen3_next",
    "qwen3_5_moe_text": "qwen3_next",
    "qwen3_5_text": "qwen3_next",
    "qwen3_vl": "qwen3",
    "qwen3_vl_moe": "qwen3_moe",
    "RefinedWeb": "falcon",
    "RefinedWebModel": "falcon",
    "phi3small": "phi3",
    "stablelm_epoch": "stablelm",
    "cohere2_vision_text": "cohere2",
}
_MOST_LAYERS = 10_000
_SIZES = {
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
}
_NEEDED = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")


def build(fields: Fields) -> Blueprint:
    """Return the model that a language model's configuration describes.

    Args:
        fields: the configuration, completed by its family's assumptions.

    Raises:
        InputError: a key is missing or of the wrong kind, or nothing says what the model is.
    """
    given = fields.text("model_type")
    kind = family_of(given)
    if fields.size("num_hidden_layers", 1) > _MOST_LAYERS:
        raise fields.wrong("num_hidden_layers", f"at most {_MOST_LAYERS}")
    if kind is not None:
        return FAMILIES[kind](fields)
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        raise _unknown(fields, given, missing)
    return _by_its_keys(fields, given)


def completed(fields: Fields) -> Fields:
    """Return the configuration with what its family assumes for absent keys."""
    given = fields.text("model_type")
    kind = family_of(given)
    return fields.with_defaults(_defaults(fields, given, kind)) if kind else fields


def _defaults(fields: Fields, given: str, kind: str) -> Raw:
    """Return what the family assumes for absent keys.

    Sizes are assumed in the language model's part of a multimodal configuration only: there, configurations leave them
    out; anywhere else, an absent size is a mistake.
    """
    known = family_defaults()
    name = next((name for name in (given, f"{given}_text", kind) if name in known), None)
    assumed: Raw = known[name] if name else {}
    return assumed if fields.nested else {key: value for key, value in assumed.items() if key not in _SIZES}


def family_of(model_type: str) -> str | None:
    """Return the family that reads a model type, None where it is not known."""
    plain = model_type.removesuffix("_text")
    names = (model_type, _ALIASES.get(model_type), f"{model_type}_text", plain, _ALIASES.get(plain))
    return next((name for name in names if name in FAMILIES), None)


def _by_its_keys(fields: Fields, kind: str) -> Blueprint:
    """Return a model of a type that is not known, read by the usual keys."""
    if "kv_lora_rank" in fields:
        whole, like = deepseek.deepseek_v3(fields), "DeepSeek V3"
    elif "num_local_experts" in fields and "num_experts_per_tok" in fields:
        whole, like = mixtures.unknown(fields), "a mixture of experts"
    else:
        whole, like = dense.llama(fields), "a dense decoder"
    note = f"model type {kind or 'without a name'} is not known here: read as {like} by its keys"
    return replace(whole, notes=(note,))


def _unknown(fields: Fields, kind: str, missing: list[str]) -> InputError:
    return InputError(
        f"model type {kind or 'without a name'} is not known, and {', '.join(missing)} is missing to read it as a "
        "dense decoder",
        where=fields.where,
        advice=f"Known model types: {', '.join(sorted(FAMILIES))}.",
    )
