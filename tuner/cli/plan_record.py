"""What `tuner plan --json` prints: stable keys, bytes and seconds."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.domain.plan import Suggested
    from tuner.study.plan import Planned


def plan_record(planned: "Planned") -> dict[str, Any]:
    """Return a plan with what it was made from; starting values are plain numbers, their reasons beside them."""
    model, device = planned.model, planned.device
    return {
        **planned.plan.model_dump(mode="json"),
        "suggested": _suggested(planned.plan.suggested),
        "demand": {**planned.demand.model_dump(mode="json"), "slos": [str(slo) for slo in planned.demand.slos]},
        "deployment": planned.deployment.model_dump(mode="json"),
        "parameters": model.parameters,
        "active_parameters": model.active_parameters,
        "measured_weights": model.measured_weights,
        "architecture": model.architecture,
        "family": model.family,
        "dtype": model.dtype,
        "quantization": model.quantization,
        "device_figures": device.model_dump(mode="json"),
    }


def _suggested(suggested: "Suggested | None") -> dict[str, Any] | None:
    if suggested is None:
        return None
    seqs, tokens = suggested.max_num_seqs, suggested.max_num_batched_tokens
    return {
        "max_num_seqs": seqs.value,
        "max_num_batched_tokens": tokens.value,
        "why": {"max_num_seqs": seqs.why, "max_num_batched_tokens": tokens.why},
    }
