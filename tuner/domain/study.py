"""The study file: what is studied, on what, under which load, to which end, for how long."""

import hashlib
import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from tuner.domain.base import Frozen
from tuner.domain.flags import FixedFlags
from tuner.domain.slo import Slo, Slos, split_name
from tuner.domain.space import SearchSpace
from tuner.domain.units import parse_duration
from tuner.domain.workload import Workload

_STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY|CREDENTIAL", re.IGNORECASE)
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")
CAPACITY = "capacity_rps"


def _study_name(name: str) -> str:
    if not _STUDY_NAME.fullmatch(name):
        raise ValueError("a study's name has 1 to 64 letters, digits, dots, hyphens or underscores")
    return name


StudyName = Annotated[str, AfterValidator(_study_name)]


def _seconds(value: Any) -> Any:  # noqa: ANN401  # pydantic hands over whatever the file held
    return parse_duration(value, default_unit="s") if isinstance(value, (str, int, float)) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
"""A duration: `30s`, `5min`, or a bare number of seconds."""


class Engine(Frozen):
    """The interpreter that has vLLM, and what every launch of the study has in common."""

    vllm_python: str | None = None
    """Path of the interpreter; without it `.venv-vllm`, this interpreter and `vllm` on PATH are tried."""
    flags: FixedFlags = {}
    """Flags of every launch, trial 0 included: a mapping or one line of text."""
    env: dict[str, str] = {}
    """Environment of every launch. Secrets stay in your own environment: they are passed on from there."""
    gpus: tuple[int, ...] | None = None
    """Which GPUs a launch sees (CUDA_VISIBLE_DEVICES); without it, all."""
    port: Annotated[int, Field(ge=1024, le=65535)] | None = None
    """A fixed port for the server; without it, a free one for each launch."""
    start_timeout: Seconds = 1800.0
    """How long a launch may take to answer its first completion."""

    @field_validator("env")
    @classmethod
    def _holds_no_secret(cls, env: dict[str, str]) -> dict[str, str]:
        secret = next((name for name in env if _SECRET_NAME.search(name)), None)
        if secret is not None:
            raise ValueError(f"{secret} looks like a secret: export it in your shell, it is passed on from there")
        return env


class LoadPlan(Frozen):
    """How a trial is loaded: the ladder of rates, and how long each load point lasts."""

    rates: tuple[Annotated[float, Field(gt=0)], ...] = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
    """Multiples of the target rate: from 1 upwards until the SLOs break; downwards only where the target itself broke."""
    duration: Seconds = 60.0
    """How long requests arrive at each load point."""
    min_requests: Annotated[int, Field(ge=1)] = 100
    """A load point lasts longer where its rate would bring fewer requests than this."""
    warmup_requests: Annotated[int, Field(ge=1)] = 32
    """Requests before the first load point, at a concurrency, kept out of every figure."""
    warmup_concurrency: Annotated[int, Field(ge=1)] = 8
    concurrency: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Closed-loop load points after the ladder, by number of users: throughput at saturation."""
    drain: Seconds = 30.0
    """How long requests may still run after the last arrival."""

    @model_validator(mode="after")
    def _climbs_through_the_target(self) -> Self:
        if 1.0 not in self.rates:
            raise ValueError("rates are multiples of the target rate, and 1 must be among them")
        if list(self.rates) != sorted(set(self.rates)):
            raise ValueError("rates must rise")
        return self

    def requests(self, rate: float) -> int:
        """Return how many requests a load point at this rate sends."""
        return max(self.min_requests, round(rate * self.duration))


class SamplerName(StrEnum):
    """Optuna's samplers that a study can use."""

    TPE = "tpe"
    RANDOM = "random"
    GP = "gp"


class Sampler(Frozen):
    """The sampler and its seed, stored with the study."""

    name: SamplerName = SamplerName.TPE
    seed: int = 0
    startup_trials: Annotated[int, Field(ge=1)] = 8
    """Random trials before the model of the sampler is used (tpe, gp)."""


def _time_of_day(text: str) -> str:
    if not _TIME_OF_DAY.fullmatch(text):
        raise ValueError(f"{text!r} is not a time of day: write it like 07:00")
    return text


class Budget(Frozen):
    """When a study ends: at whichever comes first."""

    trials: Annotated[int, Field(ge=1)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    until: Annotated[str, AfterValidator(_time_of_day)] | None = None
    """Local time of day, `07:00`."""


def _objective(name: str) -> str:
    if name != CAPACITY:
        split_name(name)
    return name


Objective = Annotated[str, AfterValidator(_objective)]
"""`capacity_rps` (maximised), or a latency percentile at the target rate such as `ttft_p95` (minimised)."""


class StudySpec(Frozen):
    """A study, as its file says it."""

    study: StudyName
    model: Annotated[str, Field(min_length=1)]
    """A local directory or a hub name."""
    engine: Engine = Engine()
    target_rps: Annotated[float, Field(gt=0)] = 10.0
    """The requests per second the study is for."""
    candidates: tuple[FixedFlags, ...] = ()
    """Configurations to measure right after trial 0, such as the flags in use today."""
    search_space: SearchSpace
    workload: Workload = Workload()
    load: LoadPlan = LoadPlan()
    slos: Annotated[Slos, Field(min_length=1)]
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=3)] = (CAPACITY, "ttft_p95")
    sampler: Sampler = Sampler()
    budget: Budget = Budget()

    @field_validator("slos")
    @classmethod
    def _one_limit_each(cls, slos: tuple[Slo, ...]) -> tuple[Slo, ...]:
        if len({slo.name for slo in slos}) != len(slos):
            raise ValueError("an SLO stands twice")
        return slos

    @model_validator(mode="after")
    def _fixed_and_tuned_differ(self) -> Self:
        both = sorted(self.engine.flags.keys() & self.search_space.parameters.keys())
        fixed = [name for name in both if name != "gpu-memory-utilization"]
        if fixed:
            raise ValueError(f"{', '.join(fixed)}: fixed in engine.flags and tuned in search_space; take one out")
        return self

    @property
    def slo_identity(self) -> str:
        """A short hash of the SLO set."""
        text = ",".join(sorted(f"{slo.name}={slo.limit!r}" for slo in self.slos))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def base_flags(self) -> dict[str, Any]:
        """Return the flags of trial 0: the fixed ones, and a `max-model-len` that covers the longest request."""
        return {"max-model-len": self.workload.longest_request} | self.engine.flags
