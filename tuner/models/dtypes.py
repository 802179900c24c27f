"""Which dtype vLLM serves a model in (`vllm/config/model.py`, `_get_and_verify_dtype`, read at 0.32). Pure."""

from typing import Literal

from tuner.domain.errors import InputError
from tuner.models.fields import Fields

Dtype = Literal["bfloat16", "float16", "float32"]
ITEMSIZE: dict[Dtype, int] = {"bfloat16": 2, "float16": 2, "float32": 4}

_NAMES: dict[str, Dtype] = {
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "half": "float16",
    "fp16": "float16",
    "float32": "float32",
    "float": "float32",
    "float64": "float32",
}
_NO_FLOAT16 = {"gemma2", "gemma3", "gemma3_text", "glm4"}
"""Model types that vLLM refuses to serve in float16: they overflow."""


def served_dtype(config: Fields, stored: str | None, asked: str | None) -> Dtype:
    """Return the dtype of activations.

    Args:
        config: the whole configuration, not only the language model's part.
        stored: the widest dtype of the weight files, where they are known.
        asked: what the user asked for, as `--dtype`; None or `auto` for vLLM's choice.

    Raises:
        InputError: no such dtype, or one that the model can't be served in.
    """
    if asked is not None and asked != "auto":
        return _checked(config, asked)
    given = _given(config) or stored or "float32"
    dtype = _NAMES.get(given.removeprefix("torch.").lower(), "bfloat16")
    if dtype == "float32" or (dtype == "float16" and config.text("model_type") in _NO_FLOAT16):
        return "bfloat16"
    return dtype


def _given(config: Fields) -> str:
    for part in (config, config.language(), config.part("vision_config")):
        for key in ("dtype", "torch_dtype"):
            if key in part:
                return part.text(key)
    return ""


def _checked(config: Fields, asked: str) -> Dtype:
    dtype = _NAMES.get(asked.lower())
    if dtype is None:
        raise InputError(f"{asked} is no dtype", where="--dtype", advice="One of auto, bfloat16, float16, float32.")
    if dtype == "float16" and config.text("model_type") in _NO_FLOAT16:
        raise InputError(
            f"{config.text('model_type')} overflows in float16, and vLLM refuses it",
            where="--dtype",
            advice="Use bfloat16 or float32.",
        )
    return dtype
