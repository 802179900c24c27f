"""Owns what one layer keeps on one GPU: bytes of a token, or of a state, by KV cache dtype and tensor parallel. Pure.

A page is what vLLM calls a KV cache spec (`vllm/v1/kv_cache_interface.py` of 0.32).
"""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from tuner.domain.errors import InputError
from tuner.domain.model import (
    CacheLayer,
    ChunkedAttention,
    FullAttention,
    LatentAttention,
    ModelShape,
    NoCache,
    SlidingAttention,
    StateSpace,
)
from tuner.domain.problems import nearest
from tuner.plan.defaults import Engine

DTYPE_BYTES = {"bfloat16": 2, "float16": 2, "half": 2, "float32": 4, "float": 4}
_ONE_BYTE = ("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "int8")
_PER_HEAD_ONE_BYTE = ("int8_per_token_head", "fp8_per_token_head")
_PER_HEAD_HALF_BYTE = "int4_per_token_head"
_NVFP4 = ("nvfp4", "nvfp4_4over6")
_PACKED_LATENT = {"fp8_ds_mla": 656, "nvfp4_ds_mla": 352}
"""Bytes of a token in DeepSeek's own packed layouts, whatever the dimensions."""
_SCALES_BYTES = 8
"""A float32 scale for the key and one for the value."""
_INDEX_GROUP, _INDEX_SCALE_BYTES = 128, 4
"""A sparse attention's index keys are 8-bit with a float32 scale for each group."""

KV_CACHE_DTYPES = ("auto", *DTYPE_BYTES, *_ONE_BYTE, *_PER_HEAD_ONE_BYTE, _PER_HEAD_HALF_BYTE, *_NVFP4, *_PACKED_LATENT)
"""The KV cache dtypes whose sizes are known here."""


class Kind(StrEnum):
    """How much of a sequence a page's layer keeps."""

    FULL = "full"
    LATENT = "latent"
    SLIDING = "sliding"
    CHUNKED = "chunked"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Page:
    """One layer's share of a block on one GPU. Equal pages can share a block table."""

    kind: Kind
    tokens: int
    """Tokens in a block."""
    token_bytes: int
    """0 for a state."""
    state_bytes: int = 0
    checkpoints: int = 0
    """States set aside for a prompt beside the running ones, where prefixes are cached."""
    reach: int = 0
    """Tokens of the window or chunk."""
    shape: tuple[int, ...] = ()
    """Heads and dimensions: layers that differ in them don't share a block table, though their bytes be equal."""
    padded: int | None = None
    """Bytes that it is padded to, to equal the other layers' pages."""

    @property
    def bytes(self) -> int:
        """Bytes of the page."""
        return self.padded or self.state_bytes or self.tokens * self.token_bytes

    @property
    def keeps_all(self) -> bool:
        """Whether it keeps every token of a sequence."""
        return self.kind in {Kind.FULL, Kind.LATENT}


def layer_pages(model: ModelShape, engine: Engine) -> list[tuple[int, Page]]:
    """Return each layer's pages with the layer's index: none, one, or two where an index lies beside the latent.

    Raises:
        InputError: a KV cache dtype whose size is not known here.
    """
    check_dtype(engine.kv_cache_dtype)
    return [(index, page) for index, layer in enumerate(model.layers) for page in _pages(layer, model, engine)]


def check_dtype(name: str) -> None:
    """Refuse a KV cache dtype whose size is not known.

    Raises:
        InputError: it is none of `KV_CACHE_DTYPES`.
    """
    if name not in KV_CACHE_DTYPES:
        raise InputError(f"--kv-cache-dtype {name}: its size is not known", advice=nearest(name, KV_CACHE_DTYPES))


def _pages(layer: CacheLayer, model: ModelShape, engine: Engine) -> list[Page]:
    match layer:
        case NoCache():
            return []
        case LatentAttention():
            return _latent(layer, model, engine)
        case StateSpace():
            return [_state(layer, model, engine)]
        case FullAttention():
            return [_attention(layer, Kind.FULL, 0, model, engine)]
        case SlidingAttention():
            return [_attention(layer, Kind.SLIDING, layer.window, model, engine)]
        case ChunkedAttention():
            return [_attention(layer, Kind.CHUNKED, layer.chunk, model, engine)]


def _attention(
    layer: FullAttention | SlidingAttention | ChunkedAttention,
    kind: Kind,
    reach: int,
    model: ModelShape,
    engine: Engine,
) -> Page:
    """KV heads are split over the GPUs of a tensor-parallel group; each keeps at least one."""
    heads = max(1, layer.kv_heads // engine.tensor_parallel)
    content = _content_bytes(layer.head_dim, layer.value_dim, engine.kv_cache_dtype, model.dtype)
    shape = (heads, layer.head_dim, layer.value_dim)
    return Page(kind, engine.block_size, heads * content, reach=reach, shape=shape)


def _content_bytes(key: int, value: int, dtype: str, model_dtype: str) -> int:
    """Return bytes of one head's key and value of a token."""
    if dtype in _NVFP4:
        return sum(size // 2 + size // 16 for size in (key, value))
    if dtype == _PER_HEAD_HALF_BYTE:
        return key // 2 + value // 2 + _SCALES_BYTES
    if dtype in _PER_HEAD_ONE_BYTE:
        return key + value + _SCALES_BYTES
    return (key + value) * _element_bytes(dtype, model_dtype, "attention with heads")


def _element_bytes(dtype: str, model_dtype: str, what: str) -> int:
    if dtype in _ONE_BYTE:
        return 1
    name = model_dtype if dtype == "auto" else dtype
    if name not in DTYPE_BYTES:
        raise InputError(
            f"--kv-cache-dtype {dtype}: its size is not known for {what}", advice="Leave it out, or try fp8."
        )
    return DTYPE_BYTES[name]


def _latent(layer: LatentAttention, model: ModelShape, engine: Engine) -> list[Page]:
    """One vector for each token, on every GPU of a tensor-parallel group."""
    dtype = engine.kv_cache_dtype
    if layer.index_dim and dtype in _ONE_BYTE:
        dtype = "fp8_ds_mla"
    size = _PACKED_LATENT.get(dtype) or layer.latent_dim * _element_bytes(dtype, model.dtype, "latent attention")
    pages = [Page(Kind.LATENT, engine.block_size, size, shape=(1, layer.latent_dim, 0))]
    if layer.index_dim:
        index = layer.index_dim + layer.index_dim // _INDEX_GROUP * _INDEX_SCALE_BYTES
        pages.append(Page(Kind.LATENT, engine.block_size, index, shape=(1, layer.index_dim, 0)))
    return pages


def _state(layer: StateSpace, model: ModelShape, engine: Engine) -> Page:
    size = DTYPE_BYTES[model.dtype]
    elements = (ceil(count / engine.tensor_parallel) for count in (layer.conv_elements, layer.state_elements))
    conv, state = elements
    total = conv * size + state * (layer.state_bytes or engine.recurrent_bytes or size)
    checkpoints = layer.checkpoints if engine.prefix_caching else 0
    return Page(Kind.STATE, engine.block_size, 0, state_bytes=total, checkpoints=checkpoints, shape=(conv, state))
