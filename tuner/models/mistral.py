"""Mistral's own format, params.json, in the words of config.json. Pure."""

from tuner.models.fields import Fields, Raw

_NAMES = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size",
    "vocab_size": "vocab_size",
    "head_dim": "head_dim",
    "tied_embeddings": "tie_word_embeddings",
    "max_seq_len": "max_position_embeddings",
    "max_position_embeddings": "max_position_embeddings",
    "q_lora_rank": "q_lora_rank",
    "kv_lora_rank": "kv_lora_rank",
    "qk_nope_head_dim": "qk_nope_head_dim",
    "qk_rope_head_dim": "qk_rope_head_dim",
    "v_head_dim": "v_head_dim",
}
_DEFAULT_LENGTH = 128_000
"""Tokens, where params.json says none (`vllm/transformers_utils/configs/mistral.py`)."""


def from_mistral(params: Raw, *, where: str) -> Raw:
    """Return the configuration that transformers would have.

    Raises:
        InputError: a value is of the wrong kind.
    """
    fields = Fields(params, where=where)
    config: dict[str, object] = {new: params[old] for old, new in _NAMES.items() if old in params}
    moe = fields.part("moe")
    kind = "mixtral" if moe.keys() else "mistral"
    if moe.keys():
        config["num_local_experts"] = moe.size("num_experts")
        config["num_experts_per_tok"] = moe.size("num_experts_per_tok", 2)
    window = fields.value("sliding_window")
    return {
        "max_position_embeddings": _DEFAULT_LENGTH,
        "dtype": "bfloat16",
        **config,
        "sliding_window": window if isinstance(window, int) else None,
        "model_type": kind,
        "architectures": ["MixtralForCausalLM" if kind == "mixtral" else "MistralForCausalLM"],
    }
