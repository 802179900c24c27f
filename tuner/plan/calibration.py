"""Owns what launches of a study teach the plan: the memory that engines really took, and what is still unsure. Pure.

A launch logs the tokens of its KV cache, which say to the block how many bytes its GPU had left:

    left = total x share - weights - activations of a token x max-num-batched-tokens - the rest

The three figures that arithmetic does not know (the total as vLLM sees it, the activations, the rest) are estimated
from all launches at once, by Bayesian linear regression from what is computed without launches (Bishop, Pattern
Recognition and Machine Learning, section 3.3). One launch corrects what it can, two at different settings tell the
causes apart, and a setting far from all launches stays as doubtful as it is: refusals are made outside of that doubt.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tuner.domain.base import Frozen
from tuner.domain.device import Device
from tuner.domain.model import ModelShape
from tuner.domain.plan import Deployment
from tuner.plan.activations import activations, graphs, outside
from tuner.plan.defaults import Engine, resolve
from tuner.plan.kv import CacheLayout, cache_layout
from tuner.plan.memory import NO_CORRECTIONS, Corrections
from tuner.plan.weights import stage_weight_bytes

_GIB = 1 << 30
_MIB = 1 << 20
_ROUNDING = 0.005
"""GiB: vLLM logs two digits after the point."""
_NOISE = 16 * _MIB
"""Standard deviation of what two launches with the same flags take."""
_REST_DOUBT = 1.0
"""Of all that lies outside of torch, relative to what is computed, and at least a quarter of a GiB."""
_LEAST_REST_DOUBT = 256 * _MIB
_ACTIVATION_DOUBT = 0.5
"""Of a token's activations, relative."""
_TOTAL_DOUBT, _CPU_TOTAL_DOUBT = 0.003, 0.2
"""Of a device's memory, relative, where no launch says: drivers keep a little for themselves, and a container may be
given less than its machine has."""
_RATIO_MATTERS = 0.01
"""Logged over planned tokens that differ by less are the same."""

Vector = NDArray[np.float64]


class Report(Frozen):
    """What a launch said of its memory; None is unknown."""

    deployment: Deployment
    kv_tokens: Annotated[int, Field(gt=0)]
    """Of `KV cache size: N tokens`."""
    kv_gib: float | None = None
    """Of one GPU."""
    weights_gib: float | None = None
    """Of one GPU."""
    total_gib: float | None = None
    """Of one device, as vLLM sees it."""


class Calibration(Frozen):
    """A device and the corrections as a study's launches have shown them."""

    device: Device
    corrections: Corrections = NO_CORRECTIONS
    launches: int = 0
    covariance: tuple[tuple[float, ...], ...]
    """Of the device's bytes, the rest in bytes, and a token's activations in bytes."""

    def doubt_bytes(self, model: ModelShape, deployment: Deployment) -> float:
        """Return the standard deviation of what is planned to be left for the KV cache of one GPU."""
        row = _row(resolve(model, self.device, deployment), deployment)
        return float(np.sqrt(row @ np.array(self.covariance) @ row + _NOISE**2))


def report(deployment: Deployment, resolved: Mapping[str, Any]) -> Report | None:
    """Return what a launch's resolved settings say of its memory, None where it did not come so far.

    Args:
        deployment: with the limits that the engine resolved.
        resolved: as `tuner.server.diagnosis` reads them from a log.
    """
    tokens = resolved.get("kv_cache_tokens")
    if not tokens:
        return None
    return Report(
        deployment=deployment,
        kv_tokens=tokens,
        kv_gib=resolved.get("kv_cache_gib"),
        weights_gib=resolved.get("weights_gib"),
        total_gib=resolved.get("device_memory_gib"),
    )


def calibrate(model: ModelShape, device: Device, reports: Sequence[Report]) -> Calibration:
    """Return the device and the corrections that explain best what the launches reported.

    Args:
        model: the model's shape.
        device: as the catalogue or the machine has it.
        reports: of launches of one study: the same model, device and version.

    Raises:
        InputError: a KV cache dtype whose size is not known.
    """
    known = _logged([one.total_gib for one in reports])
    weights, ratio = _logged([one.weights_gib for one in reports]), _ratio(model, device, reports)
    by_share = [one for one in reports if one.deployment.kv_cache_memory_bytes is None]
    prior = _prior(model, device, (reports[0] if reports else None), known)
    seen = [_seen(model, device, one, weights, ratio) for one in by_share]
    total, rest, token, covariance = _posterior(*prior, seen)
    corrections = Corrections(
        weights_bytes=weights,
        activation_bytes_per_batched_token=max(token, 0.0) if seen else None,
        fixed_bytes=max(round(rest), 0) if seen else None,
        kv_tokens_ratio=ratio,
    )
    return Calibration(
        device=device.model_copy(update={"memory_bytes": round(total)}),
        corrections=corrections,
        launches=len(reports),
        covariance=covariance,
    )


def _logged(values: Sequence[float | None]) -> int | None:
    """Return the median of logged GiB as bytes."""
    known = [value for value in values if value]
    return round(median(known) * _GIB) if known else None


def _ratio(model: ModelShape, device: Device, reports: Sequence[Report]) -> float | None:
    """Return logged tokens over the tokens that the logged bytes should hold; None where rounding may be all of it."""
    given = [(one, one.deployment.kv_cache_memory_bytes or (one.kv_gib or 0.0) * _GIB) for one in reports]
    ratios = [
        _bytes_of(model, device, one) / size
        for one, size in given
        if one.deployment.kv_cache_memory_bytes or size * _RATIO_MATTERS > _ROUNDING * _GIB
    ]
    ratio = median(ratios) if ratios else 1.0
    return ratio if abs(ratio - 1) > _RATIO_MATTERS else None


def _bytes_of(model: ModelShape, device: Device, one: Report) -> float:
    """Return the bytes of one GPU that hold the logged tokens."""
    layout, stage = _fullest(model, resolve(model, device, one.deployment))
    engine = layout.engine
    blocks = one.kv_tokens * layout.request_blocks(engine.max_model_len) / engine.max_model_len
    return blocks * layout.stage_block_bytes[stage]


def _fullest(model: ModelShape, engine: Engine) -> tuple[CacheLayout, int]:
    """Return the layout, and the stage with the most weights: it has the least left."""
    weights = stage_weight_bytes(model, engine)
    return cache_layout(model, engine), weights.index(max(weights))


def _prior(model: ModelShape, device: Device, one: Report | None, known_total: int | None) -> tuple[Vector, Vector]:
    """Return what is expected without launches of total, rest and a token's activations, and standard deviations."""
    engine = resolve(model, device, one.deployment if one else Deployment())
    version = one.deployment.vllm_version if one else None
    rest = graphs(model, engine, version).bytes + outside(device, engine, version).bytes
    token = activations(model, engine, version).bytes / engine.limits.max_num_batched_tokens
    total = float(known_total or device.memory_bytes)
    doubt = _ROUNDING * _GIB if known_total else total * (_CPU_TOTAL_DOUBT if device.vendor == "cpu" else _TOTAL_DOUBT)
    spread = [doubt, max(rest * _REST_DOUBT, _LEAST_REST_DOUBT), token * _ACTIVATION_DOUBT]
    return np.array([total, rest, token]), np.array(spread)


def _row(engine: Engine, deployment: Deployment) -> Vector:
    """Return by how much total, rest and a token's activations change what is left."""
    share = 0.0 if deployment.kv_cache_memory_bytes is not None else deployment.gpu_memory_utilization
    return np.array([share, -1.0, -float(engine.limits.max_num_batched_tokens)])


def _seen(
    model: ModelShape, device: Device, one: Report, weights: int | None, ratio: float | None
) -> tuple[Vector, float]:
    """Return a launch as an equation: the row, and the bytes that were left beside the weights and with them."""
    engine = resolve(model, device, one.deployment)
    left = _bytes_of(model, device, one) / (ratio or 1.0)
    return _row(engine, one.deployment), left + (weights or max(stage_weight_bytes(model, engine)))


def _posterior(
    mean: Vector, spread: Vector, seen: Sequence[tuple[Vector, float]]
) -> tuple[float, float, float, tuple[tuple[float, ...], ...]]:
    """Return the figures after all launches, and their covariance; computed in units of the prior's deviations."""
    rows = np.array([row for row, _ in seen]).reshape(len(seen), len(mean))
    rest = np.array([left for _, left in seen]) - rows @ mean
    scaled = rows * spread / _NOISE
    inverse = np.linalg.inv(np.eye(len(mean)) + scaled.T @ scaled)
    total, other, token = mean + spread * (inverse @ scaled.T @ (rest / _NOISE))
    covariance = inverse * np.outer(spread, spread)
    return float(total), float(other), float(token), tuple(tuple(map(float, line)) for line in covariance)
