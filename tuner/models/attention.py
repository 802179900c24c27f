"""Attention that keeps keys and values: multi-head, grouped-query and multi-query, with and without windows. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuner.domain.model import CacheLayer, ChunkedAttention, FullAttention, SlidingAttention, WeightUse
from tuner.models.fields import Fields
from tuner.models.parts import Parts, linear, norm, vector

FULL = "full_attention"
SLIDING = "sliding_attention"
CHUNKED = "chunked_attention"


@dataclass(frozen=True, slots=True)
class Heads:
    """The sizes of one layer's attention."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int

    @classmethod
    def read(cls, fields: Fields) -> "Heads":
        """Read the usual keys.

        Raises:
            InputError: a key is missing, or the heads don't divide.
        """
        hidden = fields.size("hidden_size")
        heads = fields.size("num_attention_heads")
        head_dim = fields.count("head_dim", 0) or max(1, hidden // heads)
        kv_heads = fields.size("num_key_value_heads", heads)
        return cls(hidden, heads, kv_heads, head_dim, head_dim)

    def full(self) -> FullAttention:
        """Return what a layer keeps that sees everything."""
        return FullAttention(kv_heads=self.kv_heads, head_dim=self.head_dim, value_dim=self.value_dim)

    def sliding(self, window: int) -> SlidingAttention:
        """Return what a layer keeps that sees the last `window` tokens."""
        return SlidingAttention(kv_heads=self.kv_heads, head_dim=self.head_dim, value_dim=self.value_dim, window=window)

    def chunked(self, chunk: int) -> ChunkedAttention:
        """Return what a layer keeps that sees the present chunk."""
        return ChunkedAttention(kv_heads=self.kv_heads, head_dim=self.head_dim, value_dim=self.value_dim, chunk=chunk)

    @property
    def kind(self) -> str:
        """The name of this arrangement of heads."""
        if self.kv_heads == self.heads:
            return "multi-head attention"
        return "multi-query attention" if self.kv_heads == 1 else "grouped-query attention"


@dataclass(frozen=True, slots=True)
class Projections:
    """How a family's attention is built."""

    qkv_bias: bool = False
    out_bias: bool = False
    head_norms: Callable[[Heads], int] | None = None
    """Parameters of the norms over queries and keys, where there are any."""
    sinks: bool = False
    """A learned sink for each head (gpt-oss)."""
    gated: bool = False
    """Whether the query projection is twice as wide, for a gate over the output (Qwen3-Next)."""


def each_dim(heads: Heads) -> int:
    """Norms that all heads share: one scale for each dimension of a query and of a key (Qwen3, Gemma 3)."""
    return 2 * heads.head_dim


def each_element(heads: Heads) -> int:
    """Norms with a scale for each element of all queries and all keys (OLMo 2, Command-R)."""
    return (heads.heads + heads.kv_heads) * heads.head_dim


def attention_parts(scope: str, heads: Heads, how: Projections) -> Parts:
    """Return the projections of one layer's attention."""
    keys, values = heads.kv_heads * heads.head_dim, heads.kv_heads * heads.value_dim
    queries = heads.heads * heads.head_dim * (2 if how.gated else 1)
    bias = how.qkv_bias
    return (
        *linear(f"{scope}.q_proj", WeightUse.ATTENTION, heads.hidden, queries, bias=bias),
        *linear(f"{scope}.k_proj", WeightUse.KV_PROJECTION, heads.hidden, keys, bias=bias),
        *linear(f"{scope}.v_proj", WeightUse.KV_PROJECTION, heads.hidden, values, bias=bias),
        *linear(f"{scope}.o_proj", WeightUse.ATTENTION, heads.heads * heads.value_dim, heads.hidden, bias=how.out_bias),
        *(norm(f"{scope}.norms", how.head_norms(heads)) if how.head_norms else ()),
        *(vector(f"{scope}.sinks", heads.heads, use=WeightUse.ATTENTION) if how.sinks else ()),
    )


def layer_types(fields: Fields, *, every: int | None = None) -> list[str]:
    """Return the kind of attention of each layer, as vLLM decides it.

    `layer_types` decides where it is given; else a pattern of which every n-th layer is full; else a window holds for
    all layers (`vllm/engine/arg_utils.py`, create_engine_config).

    Args:
        fields: the language model's configuration.
        every: the family's pattern: every n-th layer sees everything.
    """
    layers = fields.size("num_hidden_layers")
    given = fields.strings("layer_types")
    if given:
        if len(given) != layers:
            raise fields.wrong("layer_types", f"a list of {layers} (num_hidden_layers)")
        return given
    if not _window(fields):
        return [FULL] * layers
    pattern = fields.value("sliding_window_pattern")
    if isinstance(pattern, str) and pattern:
        return [SLIDING if pattern[i % len(pattern)] == "L" and i < layers - 1 else FULL for i in range(layers)]
    step = fields.count("sliding_window_pattern", every or 0)
    if step:
        return [SLIDING if (i + 1) % step else FULL for i in range(layers)]
    return [SLIDING] * layers


def caches(fields: Fields, heads: Heads, types: Sequence[str]) -> list[CacheLayer]:
    """Return what each layer keeps, from the kinds of attention."""
    window = _window(fields)
    full = heads.full()
    sliding = heads.sliding(window) if window else full
    chunk = fields.count("attention_chunk_size", 0)
    chunked = heads.chunked(chunk) if chunk else full
    kinds: dict[str, CacheLayer] = {SLIDING: sliding, CHUNKED: chunked}
    return [kinds.get(kind, full) for kind in types]


def _window(fields: Fields) -> int:
    """Return the window in tokens, 0 without one; `use_sliding_window: false` takes it away (Qwen)."""
    return fields.count("sliding_window", 0) if fields.flag("use_sliding_window", default=True) else 0
