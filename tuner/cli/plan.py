"""`tuner plan`: what to expect of a model on a GPU, and how long a study takes, before anything is launched."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tuner.cli import plan_options as options
from tuner.cli.options import DEFAULT_DATABASE, Database, Json, SloOptions, parse_slos
from tuner.cli.run import StudyFile
from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from tuner.domain.device import Device
    from tuner.domain.flags import FlagValue
    from tuner.domain.model import ModelShape
    from tuner.domain.plan import Demand
    from tuner.domain.study import StudySpec
    from tuner.plan.calibration import Calibration
    from tuner.study.plan import Planned
    from tuner.study.stored import Stored
    from tuner.study.study_plan import StudyPlan

_EXAMPLES = """Examples:

tuner plan --model Qwen/Qwen3-8B --gpu h100-sxm --rps 10 --slo ttft_p95=500ms

tuner plan --model ./my-model --gpu l40s --gpu h100-sxm --tp 2 --kv-cache-dtype fp8

tuner plan night.yaml --gpu a100-80gb
"""
_VERSION = re.compile(r"\d+\.\d+")
_INPUT_TOKENS, _OUTPUT_TOKENS, _RPS = 500.0, 50.0, 10.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan", epilog=_EXAMPLES)(plan)


def plan(
    file: StudyFile = None,
    model: options.Model = None,
    gpu: options.Gpus = None,
    input_tokens: options.InputTokens = None,
    output_tokens: options.OutputTokens = None,
    rps: options.Rps = None,
    slo: SloOptions = None,
    tp: options.TensorParallel = None,
    pp: options.PipelineParallel = None,
    dtype: options.Dtype = None,
    kv_cache_dtype: options.KvCacheDtype = None,
    gpu_memory_utilization: options.GpuMemoryUtilization = None,
    max_model_len: options.MaxModelLen = None,
    block_size: options.BlockSize = None,
    max_num_seqs: options.MaxNumSeqs = None,
    max_num_batched_tokens: options.MaxNumBatchedTokens = None,
    vllm_version: options.VllmVersion = None,
    *,
    enforce_eager: options.EnforceEager = False,
    db: Database = DEFAULT_DATABASE,
    as_json: Json = False,
) -> None:
    """Say what to expect of a model on a GPU: memory, KV cache, rates, starting values. Launches nothing.

    With a study file: of the study's model, flags and workload, and how long the study will take. Options are laid over
    what the file says. What launches of the study have measured (in the result file) takes the place of arithmetic.
    """
    flags = _given(
        {
            "tensor-parallel-size": tp,
            "pipeline-parallel-size": pp,
            "dtype": dtype,
            "kv-cache-dtype": kv_cache_dtype,
            "gpu-memory-utilization": gpu_memory_utilization,
            "max-model-len": max_model_len,
            "block-size": block_size,
            "max-num-seqs": max_num_seqs,
            "max-num-batched-tokens": max_num_batched_tokens,
            "enforce-eager": enforce_eager or None,
        }
    )
    demand = _given({"input_tokens": input_tokens, "output_tokens": output_tokens, "rps": rps, "slos": parse_slos(slo)})
    question = _question(file, model, flags, demand, db)
    plans = _plans(question, _devices(gpu, question), _checked_version(vllm_version))
    course = _course(question, plans[0])
    if as_json:
        _print_json(plans, course)
    else:
        _print(question, plans, course)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != ()}


def _checked_version(version: str | None) -> str | None:
    if version is not None and not _VERSION.match(version):
        raise InputError(f"{version!r} is no version", where="--vllm-version", advice="Write it like 0.11.2.")
    return version


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked: by options alone, or by a study with options laid over it."""

    model: str
    flags: "Mapping[str, FlagValue]"
    demand: "Demand"
    source: str
    spec: "StudySpec | None" = None
    stored: "Stored | None" = None
    calls: float = 1.0
    """Model calls of one request of the study's workload."""


def _question(
    file: Path | None, model: str | None, flags: "dict[str, FlagValue]", demand: dict[str, Any], db: str
) -> _Question:
    from tuner.domain.flags import parse_value
    from tuner.study.plan import demand_from

    typed = {name: parse_value(value) if isinstance(value, str) else value for name, value in flags.items()}
    if file is not None:
        return _of_study(file, model, typed, demand, db)
    if not model:
        raise InputError(
            "name a model, or a study file",
            where="tuner plan",
            advice="For example: tuner plan --model Qwen/Qwen3-8B --gpu h100-sxm",
        )
    defaults = {"input_tokens": _INPUT_TOKENS, "output_tokens": _OUTPUT_TOKENS, "rps": _RPS}
    return _Question(model, typed, demand_from(**{**defaults, **demand}), "command line")


def _of_study(
    file: Path, model: str | None, flags: "dict[str, FlagValue]", demand: dict[str, Any], db: str
) -> _Question:
    from tuner.cli.run import spec_from
    from tuner.study.demand import demand_of
    from tuner.study.plan import demand_from
    from tuner.study.stored import stored

    spec = spec_from(file, {"model": model})
    asked = demand_of(spec)
    return _Question(
        model=spec.model,
        flags={**spec.base_flags(), **flags},
        demand=demand_from(**{**dict(asked), **demand}),
        source=str(file),
        spec=spec,
        stored=stored(spec.study, db),
        calls=(asked.rps or spec.target_rps) / spec.target_rps,
    )


def _devices(names: list[str] | None, question: _Question) -> "tuple[Device, ...]":
    """Return the GPUs that are asked for: those named, else that of the study's launches, else this machine's."""
    from tuner.devices.catalogue import device

    if names:
        return tuple(device(name) for name in dict.fromkeys(names))
    known = question.stored and question.stored.device
    if known:
        return (known,)
    from tuner.study.local_device import local_device

    return (local_device(question.spec.engine.gpus if question.spec else None, os.environ),)


def _plans(question: _Question, devices: "Sequence[Device]", version: str | None) -> "tuple[Planned, ...]":
    from tuner.devices.catalogue import devices as catalogue
    from tuner.models import read_model
    from tuner.study.plan import plan_for

    dtype = question.flags.get("dtype")
    shape = read_model(question.model, dtype=None if dtype is None else str(dtype), environ=os.environ)
    learned = _learned(question, shape, devices)
    return plan_for(
        shape,
        [learned[each.name].device if each.name in learned else each for each in devices],
        question.flags,
        question.demand,
        corrections={name: found.corrections for name, found in learned.items()},
        alternatives=tuple(catalogue().values()),
        vllm_version=version or (question.stored.vllm_version if question.stored else None),
        source=question.source,
    )


def _learned(question: _Question, shape: "ModelShape", devices: "Sequence[Device]") -> "dict[str, Calibration]":
    """Return what the study's launches have shown, by the name of the device that they ran on."""
    if question.stored is None:
        return {}
    found = {each.name: question.stored.calibration(shape, each, question.demand) for each in devices}
    return {name: calibration for name, calibration in found.items() if calibration is not None}


def _course(question: _Question, planned: "Planned") -> "StudyPlan | None":
    if question.spec is None or question.stored is None:
        return None
    from tuner.study.study_plan import study_plan

    now = datetime.now().astimezone()
    return study_plan(
        question.spec, planned.plan, planned.device, question.stored.trials, calls=question.calls, now=now
    )


def _print(question: _Question, plans: "Sequence[Planned]", course: "StudyPlan | None") -> None:
    from tuner.cli.console import stdout
    from tuner.cli.plan_view import print_plans, print_study_plan

    console = stdout()
    print_plans(console, plans)
    if question.spec is not None and course is not None:
        print_study_plan(console, question.spec.study, course)


def _print_json(plans: "Sequence[Planned]", course: "StudyPlan | None") -> None:
    from tuner.cli.console import print_json
    from tuner.cli.plan_record import plan_record

    records = [plan_record(planned) for planned in plans]
    whole = records[0] if len(records) == 1 else {"plans": records}
    print_json(whole | ({"study": course.model_dump(mode="json")} if course else {}))
