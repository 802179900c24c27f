"""What arithmetic needs to know of a model: its weights by use, and what each layer keeps of a sequence.

Read from a configuration and weight headers by `tuner.models`, calculated with by `tuner.plan`. Bytes are those of one
copy of the model, before it is split over GPUs.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from tuner.domain.base import Frozen

Size = Annotated[int, Field(ge=1)]


class FullAttention(Frozen):
    """Keys and values of every token: multi-head, grouped-query and multi-query attention."""

    type: Literal["full"] = "full"
    kv_heads: Size
    head_dim: Size
    """Dimensions of a key."""
    value_dim: Size
    """Dimensions of a value; nearly always those of a key."""


class SlidingAttention(Frozen):
    """Keys and values of the last `window` tokens."""

    type: Literal["sliding"] = "sliding"
    kv_heads: Size
    head_dim: Size
    value_dim: Size
    window: Size
    """Tokens."""


class ChunkedAttention(Frozen):
    """Keys and values of the tokens in the present chunk (Llama 4's local layers)."""

    type: Literal["chunked"] = "chunked"
    kv_heads: Size
    head_dim: Size
    value_dim: Size
    chunk: Size
    """Tokens."""


class LatentAttention(Frozen):
    """One compressed vector for each token, the same on every GPU: multi-head latent attention (DeepSeek)."""

    type: Literal["latent"] = "latent"
    latent_dim: Size
    """`kv_lora_rank` and `qk_rope_head_dim` together."""
    index_dim: int = 0
    """Dimensions of a sparse attention's index key beside it (DeepSeek V3.2), 0 without one."""


class StateSpace(Frozen):
    """A state of fixed size for each sequence, whatever its length: Mamba and linear attention."""

    type: Literal["state"] = "state"
    conv_elements: Annotated[int, Field(ge=0)]
    """Elements of the convolution's state."""
    state_elements: Annotated[int, Field(ge=0)]
    """Elements of the recurrent state."""
    state_bytes: Size | None = None
    """Bytes of one element of the recurrent state; None for the model's own dtype."""
    checkpoints: Annotated[int, Field(ge=0)] = 0
    """States set aside for a request's prompt beside the running ones, where vLLM caches prefixes (Mamba 2)."""


class NoCache(Frozen):
    """A layer that keeps nothing: a feed-forward layer of a hybrid, or one that shares another layer's cache."""

    type: Literal["none"] = "none"


CacheLayer = Annotated[
    FullAttention | SlidingAttention | ChunkedAttention | LatentAttention | StateSpace | NoCache,
    Field(discriminator="type"),
]


class WeightUse(StrEnum):
    """What weights are used for, which decides how they are split and how often they are read."""

    EMBEDDING = "embedding"
    """Looked up: one row for each token."""
    ATTENTION = "attention"
    """Projections, latent and state-space ones included."""
    KV_PROJECTION = "kv_projection"
    """Projections to keys and values: with fewer KV heads than GPUs, each GPU keeps a whole head."""
    MLP = "mlp"
    """Dense feed-forward layers, and the experts that every token visits."""
    EXPERTS = "experts"
    """Routed experts: all resident, some read."""
    REPLICATED = "replicated"
    """Norms, routers, latent down-projections: a copy on each GPU of a tensor-parallel group."""
    HEAD = "head"
    """Output projection; absent where it is tied to the embedding."""
    ENCODER = "encoder"
    """A vision or audio tower and its projector: resident, not read while tokens are generated."""


class Weights(Frozen):
    """Weights of one use."""

    use: WeightUse
    parameters: Annotated[int, Field(ge=0)]
    """As the checkpoint counts them before quantisation."""
    bytes: Annotated[int, Field(ge=0)]
    """As they lie in GPU memory, scales and zero points of a quantisation included."""
    read: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share that one token's forward pass reads: experts per token over experts; for an embedding 0."""


class ModelShape(Frozen):
    """A model, as far as memory and speed depend on it."""

    name: str
    """As the user named it."""
    architecture: str
    """The configuration's first `architectures` entry."""
    family: str
    """How it was read, for people: `dense, grouped-query attention`, `mixture of 128 experts, 8 active`."""
    dtype: Literal["bfloat16", "float16", "float32"]
    """Of activations and, where nothing else is said, of the KV cache."""
    quantization: str | None = None
    """`gptq`, `awq`, `fp8`, `bitsandbytes`, …; None without one."""
    kv_cache_dtype: str | None = None
    """What the checkpoint asks for, as `--kv-cache-dtype` names it; vLLM follows where the flag is `auto`."""
    layers: Annotated[tuple[CacheLayer, ...], Field(min_length=1)]
    """In order. A layer with attention and a state side by side stands here twice."""
    weights: tuple[Weights, ...]
    hidden_size: Size
    intermediate_size: Size
    """Of a dense feed-forward layer; of all the experts that one token visits, in a mixture."""
    heads: Size
    """Query heads."""
    vocabulary: Size
    max_length: Size
    """The longest sequence that the configuration allows."""
    table_bytes: Annotated[int, Field(ge=0)] = 0
    """Tables that vLLM keeps beside the weights: cosines and sines of the rotary embedding for each position."""
    measured_weights: bool = False
    """Whether the parameters were counted in weight headers, rather than computed from the configuration."""
    notes: tuple[str, ...] = ()
    """What was left out or assumed, for people: a vision tower, a speculative head."""

    @property
    def parameters(self) -> int:
        """All parameters."""
        return sum(group.parameters for group in self.weights)

    @property
    def active_parameters(self) -> int:
        """Parameters that one token's forward pass multiplies with."""
        return round(sum(group.parameters * group.read for group in self.weights))
