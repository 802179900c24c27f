"""Owns the settings that vLLM resolves by itself: limits by device, block sizes. Pure.

The rules are vLLM 0.32's: `EngineArgs.get_batch_defaults` and `_set_default_max_num_seqs_and_batched_tokens_args` for
an API server, `update_block_size_for_backend` for the block size. What a model's own settings change there (a
multimodal prefix model's batch, a user's environment variables) is not known here.
"""

from dataclasses import dataclass

from tuner.domain.device import Device
from tuner.domain.model import ChunkedAttention, LatentAttention, ModelShape, SlidingAttention, StateSpace
from tuner.domain.plan import Deployment

GIB = 1 << 30

_LARGE, _LARGEST = 70 * GIB, 160 * GIB
"""From these amounts of memory on, vLLM takes larger limits; an A100 is left out by its name (vLLM PR #17885)."""
_GPU_BLOCK = 16
_CPU_BLOCK, _CPU_KERNEL = 128, 32
_CPU_RECURRENT = 4
"""vLLM keeps recurrent states in float32 on a CPU with AVX-512 BF16, which servers of today have."""
_BLACKWELL_LATENT_BLOCK, _SPARSE_BLOCK = 32, 64
_KERNEL = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """The two limits of a batch."""

    max_num_seqs: int
    max_num_batched_tokens: int


@dataclass(frozen=True, slots=True)
class Engine:
    """A deployment after vLLM has filled in what was left to it."""

    tensor_parallel: int
    pipeline_parallel: int
    kv_cache_dtype: str
    max_model_len: int
    limits: Limits
    block_size: int
    kernel_block: int
    """Every block is a multiple of so many tokens."""
    batches_in_flight: int
    """Batches that may be scheduled and not yet settled: their tokens still hold blocks."""
    prefix_caching: bool
    enforce_eager: bool
    recurrent_bytes: int | None = None
    """Bytes of an element of a recurrent state whose model does not say; None for those of the model's dtype."""

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def tokens_in_flight(self) -> int:
        """Tokens that windows keep beyond their own length."""
        return self.batches_in_flight * self.limits.max_num_batched_tokens


def resolve(model: ModelShape, device: Device, deployment: Deployment) -> Engine:
    """Return the deployment as vLLM would run it on the device."""
    length = deployment.max_model_len or model.max_length
    asked = deployment.kv_cache_dtype
    return Engine(
        tensor_parallel=deployment.tensor_parallel,
        pipeline_parallel=deployment.pipeline_parallel,
        kv_cache_dtype=(model.kv_cache_dtype or asked) if asked == "auto" else asked,
        max_model_len=length,
        limits=resolve_limits(device, deployment, length),
        block_size=_block_size(model, device, deployment),
        kernel_block=_CPU_KERNEL if device.vendor == "cpu" else _KERNEL,
        batches_in_flight=_batches_in_flight(device, deployment),
        prefix_caching=deployment.prefix_caching and not _only_states(model),
        enforce_eager=deployment.enforce_eager or device.vendor == "cpu",
        recurrent_bytes=_CPU_RECURRENT if device.vendor == "cpu" else None,
    )


def resolve_limits(device: Device, deployment: Deployment, max_model_len: int) -> Limits:
    """Return the batch limits that vLLM's API server would run with."""
    default = default_limits(device, deployment.tensor_parallel * deployment.pipeline_parallel)
    sequences = deployment.max_num_seqs or default.max_num_seqs
    batched = deployment.max_num_batched_tokens
    if batched is None:
        batched = min(default.max_num_batched_tokens, sequences * max_model_len)
    if deployment.max_num_seqs is None:
        sequences = min(sequences, batched)
    return Limits(sequences, batched)


def default_limits(device: Device, gpus: int = 1) -> Limits:
    """Return vLLM's own limits for the device, before any flag."""
    if device.vendor == "cpu":
        return Limits(128 * gpus, 2048 * gpus)
    if device.memory_bytes >= _LARGEST:
        return Limits(1024, 16384)
    if device.memory_bytes >= _LARGE and "a100" not in f"{device.name} {device.title}".lower():
        return Limits(1024, 8192)
    return Limits(256, 2048)


def _batches_in_flight(device: Device, deployment: Deployment) -> int:
    """Asynchronous scheduling, on by default on GPUs, prepares one batch while the others run."""
    return deployment.pipeline_parallel + (device.vendor != "cpu")


def _only_states(model: ModelShape) -> bool:
    kept = [layer for layer in model.layers if layer.type != "none"]
    return bool(kept) and all(isinstance(layer, StateSpace) for layer in kept)


def _block_size(model: ModelShape, device: Device, deployment: Deployment) -> int:
    """Return tokens in a block, before state-space layers enlarge it."""
    latent = [layer for layer in model.layers if isinstance(layer, LatentAttention)]
    if device.vendor == "cpu":
        return _GPU_BLOCK if latent else deployment.block_size or _CPU_BLOCK
    if deployment.block_size is not None:
        return deployment.block_size
    if any(layer.index_dim for layer in latent):
        return _SPARSE_BLOCK
    blackwell = (device.capability or "").startswith("10.")
    if blackwell and latent:
        return _BLACKWELL_LATENT_BLOCK
    return _GPU_BLOCK


def has_windows(model: ModelShape) -> bool:
    """Return whether any layer keeps only a part of a sequence."""
    return any(isinstance(layer, SlidingAttention | ChunkedAttention) for layer in model.layers)
