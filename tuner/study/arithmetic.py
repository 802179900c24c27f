"""What a study's model and device allow by calculation, corrected by the study's own launches.

Owns the step from a study's settings to a plan: which model, which device, which demand; and the refusal of what the
sum excludes, outside of its doubt. Launches nothing. Where a model or a device can't be calculated with, nothing is
refused and nothing suggested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tuner.devices.cpu import local_cpu
from tuner.domain.device import Device
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.flags import Flags, FlagValue
from tuner.domain.model import ModelShape
from tuner.domain.plan import Demand, Deployment
from tuner.domain.study import StudySpec
from tuner.domain.trial import Trial
from tuner.models import read_model
from tuner.plan.calibration import Calibration, Report, calibrate, report
from tuner.plan.sizing import Sizing, size
from tuner.plan.suggest import suggest_for
from tuner.plan.words import gib
from tuner.server.engine import EngineInfo
from tuner.study.demand import demand_of
from tuner.study.deployment import deployment_of
from tuner.study.local_device import local_device

_CERTAIN = 3.0
"""Standard deviations: what is excluded only within them may well run."""
_CHANGES_THE_MODEL = frozenset(
    {
        "quantization", "hf-overrides", "config-format", "enable-lora", "cpu-offload-gb", "offload-group-size",
        "num-gpu-blocks-override", "speculative-config", "spec-model", "spec-method", "enable-expert-parallel",
        "decode-context-parallel-size", "prefill-context-parallel-size", "language-model-only",
    }
)  # fmt: skip
"""Flags that change what lies in memory and that the arithmetic does not know."""
_READ_ONCE = frozenset({"dtype"})
"""Flags that decide what the model's shape is: known where they are fixed, not where they are tuned."""

Values = Mapping[str, FlagValue | None]


class Excluded(NamedTuple):
    """Why a configuration can't run, by calculation."""

    evidence: str
    """The sum, in words."""
    excess: float
    """By how much it is over, as a share of what is needed; positive."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A study's model on its device, before any launch."""

    model: ModelShape
    device: Device
    demand: Demand
    base_flags: dict[str, FlagValue]
    version: str

    @property
    def facts(self) -> dict[str, FlagValue]:
        """What static rules may read of the model."""
        return {"model.heads": self.model.heads, "model.max_length": self.model.max_length}

    def calibration(self, trials: Sequence[Trial]) -> Calibration:
        """Return the device and the corrections that the trials' launches have shown.

        Raises:
            InputError: flags that can't be calculated with.
        """
        reports = [found for trial in trials for found in self._reports(trial)]
        return calibrate(self.model, self.device, reports)

    def excluded(self, values: Values, trials: Sequence[Trial]) -> Excluded | None:
        """Return why a configuration can't run, None where it may.

        Args:
            values: of the trial's own flags, as the engine resolves them.
            trials: whose launches correct the sum.
        """
        if not self._is_covered(values):
            return None
        try:
            calibration = self.calibration(trials)
            deployment = self._deployment(values)
            sizing = size(self.model, calibration.device, deployment, self.demand, calibration.corrections)
        except InputError:
            return None  # the engine says it better, in its own words
        return _excluded(sizing, calibration, self.model)

    def suggestions(self, trials: Sequence[Trial]) -> tuple[Flags, ...]:
        """Return starting values for the target rate, for twice and for half of it.

        Raises:
            InputError: the base flags or the demand can't be calculated with.
        """
        calibration = self.calibration(trials)
        deployment = self._deployment({})
        return suggest_for(self.model, calibration.device, deployment, self.demand, corrections=calibration.corrections)

    def _deployment(self, values: Values) -> Deployment:
        given = {name: value for name, value in values.items() if value is not None}
        found = deployment_of({**self.base_flags, **given}, source="the study")
        return found.model_copy(update={"vllm_version": self.version})

    def _reports(self, trial: Trial) -> list[Report]:
        if not self._is_covered({**trial.flags}):
            return []
        deployment = self._deployment({**trial.resolved, **trial.flags})
        found = (report(deployment, launch.resolved) for launch in trial.launches)
        return [one for one in found if one is not None]

    def _is_covered(self, values: Values) -> bool:
        tuned = [name for name in values if name not in self.base_flags]
        return _unknown(values) is None and not any(name in _READ_ONCE for name in tuned)


def arithmetic_of(spec: StudySpec, info: EngineInfo, environ: Mapping[str, str]) -> Arithmetic | str:
    """Return a study's arithmetic, or why there can be none. A CPU is measured, which takes about half a second."""
    flags = spec.base_flags()
    unknown = _unknown(flags)
    if unknown is not None:
        return f"--{unknown} changes what lies in memory"
    dtype = flags.get("dtype")
    try:
        model = read_model(spec.model, dtype=None if dtype is None else str(dtype), environ=environ, offline=True)
        device = local_device(spec.engine.gpus, environ) if info.has_gpu else local_cpu()
        arithmetic = Arithmetic(model, device, demand_of(spec), flags, info.version)
        size(model, device, deployment_of(flags), arithmetic.demand)
    except (InputError, SurroundingsError) as error:
        return error.what
    return arithmetic


def _unknown(values: Values) -> str | None:
    heads = (name.partition(".")[0] for name, value in values.items() if value not in (None, False, 0))
    return next((name for name in heads if name in _CHANGES_THE_MODEL), None)


def _excluded(sizing: Sizing, calibration: Calibration, model: ModelShape) -> Excluded | None:
    doubt = _CERTAIN * calibration.doubt_bytes(model, sizing.deployment)
    given = sizing.deployment.kv_cache_memory_bytes
    if given is not None and sizing.spare_bytes + doubt < 0:
        return Excluded(f"{_sum(sizing, calibration)}: more than there is", -sizing.spare_bytes / given)
    needed = sizing.layout.request_blocks(sizing.engine.max_model_len) + 1
    pairs = zip(sizing.memory.stage_kv, sizing.layout.stage_block_bytes, strict=True)
    kept, least = min(((kept, needed * block) for kept, block in pairs), key=lambda pair: pair[0] - pair[1])
    if kept + (0.0 if given is not None else doubt) >= least:
        return None
    tokens, length = max(sizing.layout.tokens(sizing.blocks), 0), sizing.engine.max_model_len
    head = f"a KV cache of {tokens:,} tokens is less than one request of {length:,} (max-model-len)"
    return Excluded(f"{head}: {_sum(sizing, calibration)}", (least - kept) / least)


def _sum(sizing: Sizing, calibration: Calibration) -> str:
    """Return the memory's sum on one GPU: 0.3 x 23.5 GiB - 15.0 GiB weights - … = 2.1 GiB for the KV cache."""
    each = sizing.engine.gpus
    given = sizing.deployment.kv_cache_memory_bytes
    parts = [item for item in sizing.memory.items[1:-1] if item.name != "left alone"]
    taken = " - ".join(["", *(f"{gib(item.bytes / each)} {item.name}" for item in parts)])
    by = f" (measured by {calibration.launches} launches)" if calibration.launches else ""
    if given is not None:
        return f"{gib(sizing.device.memory_bytes)}{taken} - {gib(given)} KV cache = {gib(sizing.spare_bytes)}{by}"
    share = f"{sizing.deployment.gpu_memory_utilization:g} x {gib(sizing.device.memory_bytes)}"
    return f"{share}{taken} = {gib(min(sizing.memory.stage_kv))} for the KV cache{by}"
