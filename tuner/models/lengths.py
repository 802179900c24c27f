"""The longest sequence that a configuration allows. Pure.

As vLLM derives it (`vllm/config/model.py`, `_get_and_verify_max_len`, at 0.32).
"""

from tuner.models.fields import Fields

_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
_DEFAULT = 2048
_SCALED_ALREADY = {"su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling"}
"""Rotary scalings whose factor `max_position_embeddings` contains."""


def max_length(fields: Fields) -> int:
    """Return the longest sequence in tokens; 2048 where the configuration does not say."""
    given = fields.value("model_max_length")
    lengths = [fields.size(key) for key in _KEYS if fields.value(key) is not None]
    base = given if isinstance(given, int) and given > 0 else min(lengths, default=_DEFAULT)
    scaling = fields.part("rope_scaling") if "rope_scaling" in fields else fields.part("rope_parameters")
    kind = scaling.text("rope_type", scaling.text("type"))
    if kind in {"longrope", "su"}:
        return fields.size("original_max_position_embeddings", base)
    if kind in _SCALED_ALREADY or "gemma3" in fields.text("model_type"):
        return base
    return max(1, int(base * scaling.number("factor", 1.0)))
