"""A plan: what arithmetic expects of a model on a device, before anything is launched."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tuner.domain.base import Frozen
from tuner.domain.slo import Slos

Tokens = Annotated[int, Field(ge=1)]


class Deployment(Frozen):
    """How a model would be served. None leaves a setting to vLLM's default for the device."""

    tensor_parallel: Annotated[int, Field(ge=1)] = 1
    pipeline_parallel: Annotated[int, Field(ge=1)] = 1
    kv_cache_dtype: str = "auto"
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.92
    kv_cache_memory_bytes: Annotated[int, Field(ge=1)] | None = None
    """Of one GPU; given, it takes the place of the memory share."""
    block_size: Annotated[int, Field(ge=1)] | None = None
    max_model_len: Tokens | None = None
    max_num_seqs: Annotated[int, Field(ge=1)] | None = None
    max_num_batched_tokens: Annotated[int, Field(ge=1)] | None = None
    enforce_eager: bool = False
    prefix_caching: bool = True
    """With it, a state-space layer keeps a second state for each request."""
    vllm_version: str | None = None
    """`0.11.2`; None for 0.32, whose arithmetic the plan follows. Older ones took more memory for the sampler."""


class Demand(Frozen):
    """What is to be served."""

    input_tokens: Annotated[float, Field(gt=0)] = 500.0
    """Mean tokens of a prompt."""
    output_tokens: Annotated[float, Field(gt=0)] = 50.0
    """Mean tokens of an answer."""
    rps: Annotated[float, Field(gt=0)] | None = 10.0
    """Requests per second; None where there is no target."""
    slos: Slos = ()


class Basis(StrEnum):
    """Where a figure comes from."""

    COMPUTED = "computed"
    """From the model's configuration and the device's data sheet."""
    ASSUMED = "assumed"
    """A rule of thumb that real launches vary around."""
    MEASURED = "measured"
    """From launches of this study."""


class MemoryItem(Frozen):
    """One line of the memory's sum."""

    name: str
    """`weights`, `activations`, `cuda graphs`, `outside of torch`, …"""
    bytes: int
    """Of the whole replica, all its GPUs together. The first line less those between is the last one."""
    basis: Basis
    why: str
    """The sum in words, `27.2 billion parameters x 2 bytes`."""


class Range(Frozen):
    """A range that the truth is expected in."""

    low: float
    high: float


class Suggestion(Frozen):
    """A starting value for a flag, with its reason."""

    value: int
    why: str


class Suggested(Frozen):
    """Starting values for the two limits that matter most."""

    max_num_seqs: Suggestion
    max_num_batched_tokens: Suggestion


class Plan(Frozen):
    """A model on a device. Bytes are those of one replica, all its GPUs together; seconds are floors, not forecasts."""

    model: str
    device: str
    gpus: int
    """GPUs of one replica."""
    fits: bool
    """Whether the weights fit and the KV cache holds at least one request of the longest kind."""
    problem: str = ""
    """What does not fit and by how much; empty where it fits."""
    remedies: tuple[str, ...] = ()
    """What would fit."""
    memory: tuple[MemoryItem, ...]
    """The sum from the GPUs' memory down to the KV cache."""
    weights_bytes: int
    kv_bytes_per_token: float
    """Of a long sequence: what one more token costs, windows and states aside."""
    kv_bytes_per_sequence: int
    """Of one request of the mean length, in whole blocks."""
    kv_budget_bytes: int
    """What is left for the KV cache; negative where the rest does not fit."""
    kv_tokens: int
    """As vLLM logs it (`KV cache size: N tokens`)."""
    max_sequences: int
    """Requests of the mean length that fit at a time."""
    prefill_floor_s: float | None
    """Seconds that the mean prompt needs at the device's compute rate; None for a device without one."""
    decode_floor_s: float
    """Seconds between tokens of a single sequence: weights and cache read once at the device's bandwidth."""
    expected_rps: Range | None
    """Requests per second of one replica; None where it does not fit."""
    binding: str
    """Which resource binds: `weights`, `kv cache`, `compute`, `bandwidth` or `latency`, in the words of the reason."""
    suggested: Suggested | None
    """None where it does not fit, or where there is no target rate."""
    notes: tuple[str, ...] = ()
