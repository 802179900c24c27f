"""A configuration's values, with their types checked; what is missing or of the wrong kind is named.

Owns the many names that one figure goes by (`n_layer`, `num_layers`, `num_hidden_layers`), what a family assumes where
a key is absent, and where a multimodal model keeps its language model's part. Refuses to know what a figure is for.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from math import isfinite
from typing import cast

from tuner.domain.errors import InputError

Raw = Mapping[str, object]

NESTED = ("text_config", "llm_config", "language_config", "thinker_config", "text_model")
"""Where the configuration of a multimodal model keeps that of its language model."""

_SYNONYMS = (
    ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    ("hidden_size", "n_embd", "d_model", "model_dim"),
    ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    ("num_key_value_heads", "n_head_kv", "num_kv_heads", "multi_query_group_num", "num_attention_groups"),
    ("intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim"),
    ("vocab_size", "padded_vocab_size"),
    ("head_dim", "kv_channels", "attention_head_dim"),
    ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
    ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "moe_k", "top_k_experts"),
)
_ALL_NAMES = {names[0]: names for names in _SYNONYMS}


class Fields:
    """One configuration, or a part of one, read by key."""

    def __init__(self, raw: Raw, *, where: str, defaults: Raw | None = None, nested: bool = False) -> None:
        """Wrap a decoded JSON object.

        Args:
            raw: the object.
            where: what errors name: the file, and the part of it.
            defaults: what the family assumes for absent keys.
            nested: whether it is the language model's part of a multimodal configuration.
        """
        self._raw = raw
        self._defaults = defaults or {}
        self.where = where
        self.nested = nested

    def __contains__(self, name: str) -> bool:
        """Whether the configuration itself gives a value other than null."""
        return any(self._raw.get(key) is not None for key in _names(name))

    def with_defaults(self, defaults: Raw) -> "Fields":
        """Return the same configuration with other assumptions about absent keys."""
        return Fields(self._raw, where=self.where, defaults=defaults, nested=self.nested)

    def replacing(self, values: Raw) -> "Fields":
        """Return the same configuration with some values replaced, under their main names."""
        return Fields({**self._raw, **values}, where=self.where, defaults=self._defaults, nested=self.nested)

    def value(self, name: str) -> object:
        """Return the value as it stands; null where it is absent and nothing is assumed."""
        keys = _names(name)
        given = next((key for key in keys if key in self._raw), None)
        if given is not None:
            return next((self._raw[key] for key in keys if self._raw.get(key) is not None), None)
        return next((self._defaults[key] for key in keys if key in self._defaults), None)

    def size(self, name: str, default: int | None = None) -> int:
        """Return a whole number of at least 1.

        Raises:
            InputError: absent with no default, or something else.
        """
        return self._integer(name, default, least=1)

    def count(self, name: str, default: int | None = None) -> int:
        """Return a whole number of at least 0.

        Raises:
            InputError: absent with no default, or something else.
        """
        return self._integer(name, default, least=0)

    def number(self, name: str, default: float) -> float:
        """Return a number."""
        value = self.value(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise self.wrong(name, "a number")
        return float(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self.value(name)
        if value is None:
            return default
        if isinstance(value, int):
            return bool(value)
        raise self.wrong(name, "true or false")

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        value = self.value(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(name, "a string")
        return value

    def part(self, name: str) -> "Fields":
        """Return a nested object; an empty one where there is none."""
        value = self.value(name)
        if value is None:
            return Fields({}, where=f"{self.where}, {name}")
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return Fields(cast("Raw", value), where=f"{self.where}, {name}")

    def parts(self, name: str) -> "list[Fields]":
        """Return a list of nested objects."""
        where = f"{self.where}, {name}"
        return [Fields(cast("Raw", item), where=where) for item in self.items(name) if isinstance(item, dict)]

    def items(self, name: str) -> list[object]:
        """Return a list; an empty one where there is none."""
        value = self.value(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return cast("list[object]", value)

    def integers(self, name: str) -> list[int]:
        """Return a list of whole numbers."""
        items = self.items(name)
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            raise self.wrong(name, "a list of whole numbers")
        return cast("list[int]", items)

    def strings(self, name: str) -> list[str]:
        """Return a list of strings."""
        items = self.items(name)
        if not all(isinstance(item, str) for item in items):
            raise self.wrong(name, "a list of strings")
        return cast("list[str]", items)

    def keys(self) -> list[str]:
        """Return the keys that the configuration itself has."""
        return list(self._raw)

    def language(self) -> "Fields":
        """Return the language model's part of a multimodal configuration, or the configuration itself.

        What the part leaves out and the whole says, the whole's word is taken for: dtype, tied embeddings.
        """
        for name in NESTED:
            nested = self._raw.get(name)
            if isinstance(nested, dict):
                inner = {**cast("Raw", nested)}
                for key in ("tie_word_embeddings", "quantization_config", "torch_dtype", "dtype", "model_type"):
                    if inner.get(key) is None and self._raw.get(key) is not None:
                        inner[key] = self._raw[key]
                return Fields(inner, where=f"{self.where}, {name}", nested=True).language()
        return self

    def wrong(self, name: str, wanted: str) -> InputError:
        """Return the error for a value of the wrong kind."""
        return InputError(f"{name} is {json.dumps(self.value(name))[:80]}, not {wanted}", where=self.where)

    def _integer(self, name: str, default: int | None, *, least: int) -> int:
        value = self.value(name)
        if value is None:
            if default is None:
                raise InputError(f"{name} is missing", where=self.where)
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "a whole number")
        if value < least:
            raise self.wrong(name, f"a whole number of at least {least}")
        return value


def _names(name: str) -> tuple[str, ...]:
    return _ALL_NAMES.get(name, (name,))


@cache
def family_defaults() -> Mapping[str, Raw]:
    """Return what each model type's configuration class in transformers assumes for absent keys, by `model_type`."""
    return json.loads((resources.files("tuner.models") / "defaults.json").read_text(encoding="utf-8"))
