"""A model on one or several devices, calculated: the model's shape, the deployment and the demand put together."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic import ValidationError

from tuner.domain.base import Frozen
from tuner.domain.device import Device
from tuner.domain.errors import InputError
from tuner.domain.flags import Flags
from tuner.domain.model import ModelShape
from tuner.domain.plan import Demand, Deployment, Plan
from tuner.domain.problems import explain
from tuner.plan.memory import Corrections
from tuner.plan.planner import make_plan
from tuner.study.deployment import CPU_MEMORY_UTILIZATION, deployment_of

_MEMORY = frozenset({"gpu-memory-utilization", "kv-cache-memory-bytes"})


class Planned(Frozen):
    """A plan with what it was made from."""

    model: ModelShape
    device: Device
    deployment: Deployment
    demand: Demand
    plan: Plan


def plan_for(
    model: ModelShape,
    devices: Sequence[Device],
    flags: Flags,
    demand: Demand,
    *,
    corrections: Mapping[str, Corrections] = MappingProxyType({}),
    alternatives: Sequence[Device] = (),
    vllm_version: str | None = None,
    source: str = "command line",
) -> tuple[Planned, ...]:
    """Return a plan for each device, in their order.

    Args:
        model: the model's shape.
        devices: what it would run on.
        flags: vLLM's flags of the deployment; those that neither memory nor speed depend on are passed over.
        demand: what is to be served.
        corrections: what launches of the same study measured, by the device's name.
        alternatives: devices to name where the model does not fit.
        vllm_version: whose arithmetic to follow; None for the newest that is known.
        source: where the flags stand, for errors.

    Raises:
        InputError: flags that vLLM would refuse, or a request that is too long for them.
    """
    planned: list[Planned] = []
    for device in devices:
        deployment = deployment_of(with_platform_memory(flags, device), source=source)
        deployment = deployment.model_copy(update={"vllm_version": vllm_version})
        _check_length(model, deployment, source)
        plan = make_plan(model, device, deployment, demand, corrections.get(device.name), alternatives)
        planned.append(Planned(model=model, device=device, deployment=deployment, demand=demand, plan=plan))
    return tuple(planned)


def with_platform_memory(flags: Flags, device: Device) -> Flags:
    """Return the flags with the memory share that the tuner gives an engine on a CPU, where they leave it open."""
    if device.vendor != "cpu" or not _MEMORY.isdisjoint(flags):
        return flags
    return {**flags, "gpu-memory-utilization": CPU_MEMORY_UTILIZATION}


def demand_from(**fields: object) -> Demand:
    """Return the demand of these fields.

    Raises:
        InputError: a length or a rate that can't be; names the option.
    """
    try:
        return Demand.model_validate(fields)
    except ValidationError as error:
        found = explain(error, source="command line", model=Demand)
        what = re.sub(r"^(input|output)_tokens|^rps", lambda match: f"--{match[0].replace('_', '-')}", found.what)
        raise InputError(what) from error


def _check_length(model: ModelShape, deployment: Deployment, source: str) -> None:
    longest = deployment.max_model_len
    if longest is not None and longest > model.max_length:
        raise InputError(
            f"max-model-len {longest:,} is more than the {model.max_length:,} tokens that {model.name} allows",
            where=source,
            advice=f"vLLM refuses it: give {model.max_length} or less.",
        )
