"""Configurations of well-known models, as published, and small ones made up."""

import json
from pathlib import Path
from typing import Any

from tests.fakes.workbench import ROOT
from tuner.domain.model import CacheLayer, ModelShape
from tuner.models.shape import model_shape

RECORDED = ROOT / "tests" / "unit" / "models"
PUBLIC = RECORDED / "configs"

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 2048,
    "torch_dtype": "bfloat16",
}


def public_config(name: str) -> dict[str, Any]:
    return json.loads((PUBLIC / f"{name}.json").read_text())


def public_shape(name: str, **changed: Any) -> ModelShape:
    return shape_of(public_config(name) | changed)


def shape_of(config: dict[str, Any], **arguments: Any) -> ModelShape:
    return model_shape(config, name="m", where="config.json", **arguments)


def tiny_shape(**changed: Any) -> ModelShape:
    return shape_of(LLAMA | changed)


def recorded(name: str) -> dict[str, Any]:
    return json.loads((RECORDED / f"{name}.json").read_text())


def cache_counts(shape: ModelShape) -> dict[str, int]:
    """How many layers keep what, in the words of the recorded tables; layers that keep nothing left out."""
    counts: dict[str, int] = {}
    for cache in shape.layers:
        if cache.type != "none":
            counts[words(cache)] = counts.get(words(cache), 0) + 1
    return counts


def words(cache: CacheLayer) -> str:
    match cache.type:
        case "full":
            return f"full {cache.kv_heads} {cache.head_dim} {cache.value_dim}"
        case "sliding":
            return f"sliding {cache.kv_heads} {cache.head_dim} {cache.value_dim} {cache.window}"
        case "chunked":
            return f"chunked {cache.kv_heads} {cache.head_dim} {cache.value_dim} {cache.chunk}"
        case "latent":
            return f"latent {cache.latent_dim}"
        case "state":
            return f"state {cache.conv_elements} {cache.state_elements}"
        case "none":
            return "none"


def write_config(directory: Path, config: dict[str, Any]) -> Path:
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    return path
