"""Owns the plan: composes memory, cache, speed and suggestions into one answer. Pure."""

from collections.abc import Sequence

from tuner.domain.device import Device
from tuner.domain.model import ModelShape
from tuner.domain.plan import Demand, Deployment, Plan, Range
from tuner.plan.defaults import has_windows
from tuner.plan.kv import bytes_per_short_token, bytes_per_token
from tuner.plan.memory import Corrections
from tuner.plan.remedies import problem, remedies
from tuner.plan.roofline import QUICK, SLOW, Operating, Speed, operating_point
from tuner.plan.sizing import Sizing, size
from tuner.plan.suggest import suggested
from tuner.plan.words import gib, tokens

_OLDER, _PLAINLY = "0.20", 0.02


def make_plan(
    model: ModelShape,
    device: Device,
    deployment: Deployment,
    demand: Demand,
    corrections: Corrections | None = None,
    devices: Sequence[Device] = (),
) -> Plan:
    """Return what arithmetic expects of a model on a device.

    Args:
        model: the model's shape.
        device: the GPU; every GPU of the replica is alike.
        deployment: how it would be served.
        demand: what is to be served.
        corrections: what launches of the study have measured.
        devices: others to name where the model does not fit on this one.

    Raises:
        InputError: heads that can't be split so, a KV cache dtype of unknown size, requests longer than allowed.
    """
    sizing = size(model, device, deployment, demand, corrections)
    speed = sizing.speed(demand)
    points = _points(sizing, speed)
    return Plan(
        model=model.name,
        device=device.name,
        gpus=sizing.engine.gpus,
        fits=sizing.fits,
        problem=problem(sizing),
        remedies=remedies(sizing, demand, corrections, devices),
        memory=sizing.memory.items,
        weights_bytes=sum(sizing.memory.stage_weights) * sizing.engine.tensor_parallel,
        kv_bytes_per_token=bytes_per_token(model, sizing.engine),
        kv_bytes_per_sequence=sizing.layout.sequence_blocks(_length(demand)) * sizing.layout.block_bytes,
        kv_budget_bytes=sum(sizing.memory.stage_kv) * sizing.engine.tensor_parallel,
        kv_tokens=sizing.layout.tokens(sizing.blocks),
        max_sequences=sizing.max_sequences,
        prefill_floor_s=speed.prefill_s(),
        decode_floor_s=speed.step_s(1) * sizing.engine.pipeline_parallel,
        expected_rps=None if points is None else Range(low=points[0].rate, high=points[1].rate),
        binding=_binding(sizing, speed, points),
        suggested=suggested(sizing, speed),
        notes=_notes(sizing, demand),
    )


def _length(demand: Demand) -> int:
    return max(1, round(demand.input_tokens + demand.output_tokens))


def _points(sizing: Sizing, speed: Speed) -> tuple[Operating, Operating] | None:
    """Return where it would run at the worse and at the better efficiencies; None where it does not fit."""
    if not sizing.fits:
        return None
    sequences = max(1, min(sizing.max_sequences, sizing.engine.limits.max_num_seqs))
    return operating_point(speed, sequences, SLOW), operating_point(speed, sequences, QUICK)


def _binding(sizing: Sizing, speed: Speed, points: tuple[Operating, Operating] | None) -> str:
    if points is None:
        return "weights: they leave no room" if not sizing.weights_fit else "KV cache: one request does not fit"
    quick = points[1]
    if quick.limited_by != "sequences":
        return (
            f"latency: {quick.limited_by} allows {quick.batch} sequences at a time of {sizing.max_sequences} that fit"
        )
    prompt = speed.prefill_s(QUICK) or 0.0
    answer = speed.demand.output_tokens * speed.step_s(quick.batch, QUICK) / quick.batch
    if prompt >= answer:
        return f"compute: prompts take {prompt / (prompt + answer):.0%} of the time"
    share = f"answers take {answer / (prompt + answer):.0%} of the time"
    if _waits_dominate(speed, quick.batch):
        return f"latency: a step's launch and bookkeeping take longer than its reading; {share}"
    if quick.batch < sizing.engine.limits.max_num_seqs and _weights_dominate(speed, quick.batch):
        return f"KV cache: only {quick.batch} sequences fit, too few to share each reading of the weights; {share}"
    return f"bandwidth: {share}"


def _waits_dominate(speed: Speed, batch: int) -> bool:
    return speed.step_s(batch, QUICK) > 2 * speed.step_s(batch) / QUICK.bandwidth


def _weights_dominate(speed: Speed, batch: int) -> bool:
    return speed.step_bytes(batch) > 2 * batch * speed.cache_bytes


def _notes(sizing: Sizing, demand: Demand) -> tuple[str, ...]:
    notes = [*sizing.model.notes, *_windows(sizing), *_limits(sizing), *_older(sizing, demand)]
    if not sizing.layout.keeps_nothing:
        blocks = sizing.sequence_blocks
        notes.append(f"a request of {tokens(_length(demand))} tokens takes {blocks} blocks of the cache")
    if demand.rps is None:
        notes.append("no target rate: nothing to suggest")
    return tuple(notes)


def _windows(sizing: Sizing) -> list[str]:
    if not has_windows(sizing.model):
        return []
    each = bytes_per_short_token(sizing.model, sizing.engine)
    return [f"within the windows of its layers, a token costs {each:,} bytes of KV cache"]


def _limits(sizing: Sizing) -> list[str]:
    deployment, limits = sizing.deployment, sizing.engine.limits
    if deployment.max_num_seqs is not None and deployment.max_num_batched_tokens is not None:
        return []
    both = f"max-num-seqs {limits.max_num_seqs:,} and max-num-batched-tokens {limits.max_num_batched_tokens:,}"
    return [f"counted with {both}: vLLM's own where they are not given"]


def _older(sizing: Sizing, demand: Demand) -> list[str]:
    """Say what an older vLLM would leave, where that is plainly less."""
    if sizing.deployment.vllm_version is not None or sizing.device.vendor == "cpu":
        return []
    older = sizing.deployment.model_copy(update={"vllm_version": _OLDER})
    then = sum(size(sizing.model, sizing.device, older, demand).memory.stage_kv) * sizing.engine.tensor_parallel
    now = sum(sizing.memory.stage_kv) * sizing.engine.tensor_parallel
    if then > now * (1 - _PLAINLY) or now <= 0:
        return []
    seats = f"max-num-seqs {sizing.engine.limits.max_num_seqs:,}"
    return [
        f"counted for vLLM 0.26 and later; before, profiling the sampler with {seats} left {gib(then)} for the cache"
    ]
