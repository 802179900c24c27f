"""Owns what to do where a model does not fit: by how much it is over, and what would fit. Pure."""

from collections.abc import Iterator, Sequence

from tuner.domain.device import Device
from tuner.domain.model import ModelShape, Weights, WeightUse
from tuner.domain.plan import Demand, Deployment
from tuner.plan.memory import Corrections
from tuner.plan.sizing import Sizing, size, splits
from tuner.plan.words import gib

_GPUS = (2, 4, 8, 16)
_MOST_UTILIZATION = 0.95
_MOST_NAMED = 4
_QUANTISED = (("fp8", 1.0), ("int4", 0.53))
"""Name and bytes of a parameter: a 4-bit weight is half a byte, with a 16-bit scale and zero point for each 128."""
_QUANTISED_USES = frozenset({WeightUse.ATTENTION, WeightUse.KV_PROJECTION, WeightUse.MLP, WeightUse.EXPERTS})


def problem(sizing: Sizing) -> str:
    """Return what does not fit and by how much, for one GPU; empty where all fits."""
    if sizing.fits:
        return ""
    least = min(sizing.memory.stage_kv)
    if not sizing.weights_fit:
        return f"{_what(sizing)} take {gib(_over(sizing, least))} more than {_allowed(sizing)}"
    length = sizing.engine.max_model_len
    blocks = sizing.layout.request_blocks(length) + 1
    pairs = zip(sizing.memory.stage_kv, sizing.layout.stage_block_bytes, strict=True)
    kept, block = min(pairs, key=lambda pair: pair[0] - blocks * pair[1])
    return (
        f"one request of {length:,} tokens needs {gib(blocks * block)} of KV cache on each GPU, "
        f"{gib(blocks * block - kept)} more than the {gib(kept)} that are left"
    )


def _over(sizing: Sizing, least: int) -> int:
    return -sizing.spare_bytes if sizing.deployment.kv_cache_memory_bytes is not None else -least


def _what(sizing: Sizing) -> str:
    given = sizing.deployment.kv_cache_memory_bytes is not None
    return "weights, activations and the given KV cache" if given else "weights and activations"


def _allowed(sizing: Sizing) -> str:
    share = "" if sizing.deployment.kv_cache_memory_bytes else f"{sizing.deployment.gpu_memory_utilization:g} of "
    return f"{share}the {gib(sizing.device.memory_bytes)} of one {sizing.device.title}"


def remedies(
    sizing: Sizing, demand: Demand, corrections: Corrections | None, devices: Sequence[Device] = ()
) -> tuple[str, ...]:
    """Return what would fit, each by itself, the least change first."""
    if sizing.fits:
        return ()
    return (
        *_shorter(sizing, demand),
        *_more_utilization(sizing, demand, corrections),
        *_smaller_cache(sizing, demand, corrections),
        *_quantised(sizing, demand),
        *_more_gpus(sizing, demand, corrections),
        *_other_devices(sizing, demand, devices),
    )


def _fits(
    model: ModelShape, device: Device, deployment: Deployment, demand: Demand, corrections: Corrections | None = None
) -> bool:
    return size(model, device, deployment, demand, corrections).fits


def _shorter(sizing: Sizing, demand: Demand) -> Iterator[str]:
    if not sizing.weights_fit:
        return
    longest = sizing.layout.longest(sizing.memory.stage_kv)
    if longest >= demand.input_tokens + demand.output_tokens:
        yield f"--max-model-len {longest}: the longest request that the KV cache holds"


def _more_utilization(sizing: Sizing, demand: Demand, corrections: Corrections | None) -> Iterator[str]:
    deployment = sizing.deployment
    if deployment.kv_cache_memory_bytes is not None or deployment.gpu_memory_utilization >= _MOST_UTILIZATION:
        return
    more = deployment.model_copy(update={"gpu_memory_utilization": _MOST_UTILIZATION})
    if _fits(sizing.model, sizing.device, more, demand, corrections):
        yield f"--gpu-memory-utilization {_MOST_UTILIZATION:g}, where nothing else uses the GPU"


def _smaller_cache(sizing: Sizing, demand: Demand, corrections: Corrections | None) -> Iterator[str]:
    if sizing.deployment.kv_cache_dtype != "auto" or not sizing.weights_fit:
        return
    halved = sizing.deployment.model_copy(update={"kv_cache_dtype": "fp8"})
    if _fits(sizing.model, sizing.device, halved, demand, corrections):
        yield "--kv-cache-dtype fp8: half the bytes of a token (answers change a little)"


def _quantised(sizing: Sizing, demand: Demand) -> Iterator[str]:
    if sizing.model.quantization is not None:
        return
    for name, per_parameter in _QUANTISED:
        smaller = _with_weights(sizing.model, per_parameter)
        if _fits(smaller, sizing.device, sizing.deployment, demand):
            total = sum(group.bytes for group in smaller.weights)
            yield f"an {name} checkpoint of it, about {gib(total)} of weights (answers change a little)"
            return


def _with_weights(model: ModelShape, per_parameter: float) -> ModelShape:
    groups = tuple(_smaller(group, per_parameter) for group in model.weights)
    return model.model_copy(update={"weights": groups, "quantization": "fp8"})


def _smaller(group: Weights, per_parameter: float) -> Weights:
    if group.use not in _QUANTISED_USES:
        return group
    return group.model_copy(update={"bytes": min(group.bytes, round(group.parameters * per_parameter))})


def _more_gpus(sizing: Sizing, demand: Demand, corrections: Corrections | None) -> Iterator[str]:
    deployment = sizing.deployment
    if sizing.device.vendor == "cpu":
        return
    for gpus in _GPUS:
        if gpus <= deployment.tensor_parallel or not splits(sizing.model, gpus):
            continue
        more = deployment.model_copy(update={"tensor_parallel": gpus})
        weights_known = None if corrections is None else corrections.model_copy(update={"weights_bytes": None})
        if _fits(sizing.model, sizing.device, more, demand, weights_known):
            total = gpus * deployment.pipeline_parallel
            yield f"--tensor-parallel-size {gpus}: {total} x {sizing.device.title}"
            return


def _other_devices(sizing: Sizing, demand: Demand, devices: Sequence[Device]) -> Iterator[str]:
    others = [device for device in devices if device.name != sizing.device.name]
    fitting = [device for device in others if _fits(sizing.model, device, sizing.deployment, demand)]
    if fitting:
        smallest = sorted(fitting, key=lambda device: (device.memory_bytes, device.name))[:_MOST_NAMED]
        more = f" (and {len(fitting) - _MOST_NAMED} larger)" if len(fitting) > _MOST_NAMED else ""
        count = sizing.engine.gpus
        yield f"{'one' if count == 1 else count} of {', '.join(device.name for device in smallest)}{more}"
