"""The study file: what is studied, on what, under which load, to which end, for how long."""

import hashlib
import re
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from tuner.domain.base import Frozen
from tuner.domain.flags import FixedFlags
from tuner.domain.inert import inert
from tuner.domain.lengths import Positive
from tuner.domain.secrets import holds_password, is_secret_name
from tuner.domain.slo import SLO_NAMES, Slo, Slos
from tuner.domain.space import SearchSpace
from tuner.domain.units import DURATION_SCHEMA, parse_duration
from tuner.domain.workload import Workload

_STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")
_UNCERTAINTY = 2.0
"""A capacity's standard deviation, relative, times the square root of the requests near it: 1.5 to 2.2 in every queue
simulated, since what it depends on are arrivals and work as they happen to come.
"""
_Z = 1.645
"""The normal distribution's 95 % quantile."""
CAPACITY = "capacity_rps"
_OBJECTIVES = (CAPACITY, *SLO_NAMES)


def _study_name(name: str) -> str:
    if not _STUDY_NAME.fullmatch(name):
        raise ValueError("a study's name has 1 to 64 letters, digits, dots, hyphens or underscores")
    return name


StudyName = Annotated[
    str, AfterValidator(_study_name), WithJsonSchema({"type": "string", "pattern": f"^{_STUDY_NAME.pattern}$"})
]

Count = Annotated[int, Field(strict=True, ge=1)]


def _model_name(name: str) -> str:
    if not name.strip() or name.startswith("-") or name != inert(name):
        raise ValueError(f"{name!r} is neither a directory nor a hub name such as Qwen/Qwen3-8B")
    return name


ModelName = Annotated[str, AfterValidator(_model_name), WithJsonSchema({"type": "string", "pattern": "^[^-]"})]


def _seconds(value: Any) -> Any:  # noqa: ANN401  # pydantic hands over whatever the file held
    return parse_duration(value, default_unit="s") if isinstance(value, (str, int, float)) else value


def _text_of_number(value: Any) -> Any:  # noqa: ANN401
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


EnvValue = Annotated[str, BeforeValidator(_text_of_number), WithJsonSchema({"type": ["string", "integer"]})]
"""A value of the environment; a whole number needs no quotes."""

Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0), WithJsonSchema(DURATION_SCHEMA)]
"""A duration: `30s`, `5min`, or a bare number of seconds."""


class Engine(Frozen):
    """The interpreter that has vLLM, and what every launch of the study has in common."""

    vllm_python: str | None = None
    """Path of the interpreter; without it `.venv-vllm`, this interpreter and `vllm` on PATH are tried."""
    flags: FixedFlags = {}
    """Flags of every launch, trial 0 included: a mapping or one line of text."""
    env: dict[str, EnvValue] = {}
    """Environment of every launch. Secrets stay in your own environment: they are passed on from there."""
    gpus: Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], Field(min_length=1)] | None = None
    """Which GPUs a launch sees (CUDA_VISIBLE_DEVICES); without it, all."""
    port: Annotated[int, Field(strict=True, ge=1024, le=65535)] | None = None
    """A fixed port for the server; without it, a free one for each launch."""
    start_timeout: Seconds = 1800.0
    """How long a launch may take to answer its first completion."""
    hang_timeout: Seconds = 60.0
    """How long an engine under load may bring no token before it counts as hung."""

    @field_validator("gpus")
    @classmethod
    def _names_each_gpu_once(cls, gpus: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if gpus is not None and len(set(gpus)) != len(gpus):
            raise ValueError("a GPU stands twice")
        return gpus

    @field_validator("env")
    @classmethod
    def _can_be_an_environment(cls, env: dict[str, str]) -> dict[str, str]:
        bad = next((name for name, value in env.items() if not _ENV_NAME.fullmatch(name) or "\0" in value), None)
        if bad is not None:
            raise ValueError(f"{bad!r} can't stand in an environment: a name has letters, digits and underscores")
        return env

    @field_validator("env")
    @classmethod
    def _holds_no_secret(cls, env: dict[str, str]) -> dict[str, str]:
        secret = next((name for name, value in env.items() if is_secret_name(name) or holds_password(value)), None)
        if secret is not None:
            raise ValueError(f"{secret} is or holds a secret, by its looks: export it, it is passed on from your shell")
        return env


class LoadPlan(Frozen):
    """How a trial is loaded: how its capacity is searched for, and how long each load point lasts."""

    highest: Annotated[float, Field(ge=1, le=1000)] = 4.0
    """The highest rate that the search for the capacity tries, as a multiple of the target rate."""
    lowest: Annotated[float, Field(ge=0.001, le=1)] = 0.25
    """The lowest rate that the search tries, as a multiple of the target rate; below it the capacity counts as none."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """How narrow the capacity's 90 % interval should become: 0.05 is 5 % to either side."""
    time_budget: Seconds | None = 600.0
    """How long all open-loop load points of a trial may take together; `null` for as long as the tolerance needs."""
    max_points: Count = 20
    """How many open-loop load points a trial has at the most."""
    duration: Seconds = 60.0
    """How long requests arrive at the target rate. Rates that are only passed by get half of it, and those at the
    capacity as long as the tolerance needs."""
    min_requests: Count = 100
    """A load point lasts longer where its rate would bring fewer requests than this."""
    warmup_requests: Count = 32
    """Requests before the first load point, at a concurrency, kept out of every figure."""
    warmup_concurrency: Count = 8
    concurrency: tuple[Count, ...] = ()
    """Closed-loop load points after the search, by number of users: throughput at saturation."""
    drain: Seconds = 30.0
    """How long requests may still run after the last arrival."""

    @property
    def fewest_near_capacity(self) -> float:
        """Requests near the capacity without which no interval is as narrow as the tolerance, whatever the queue."""
        return (_UNCERTAINTY * _Z / self.tolerance) ** 2

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
    """`tpe` (multivariate), `random`, or `gp` (needs the extra `tuner[gp]`)."""
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0
    """The same seed proposes the same first trials again."""
    startup_trials: Count = 8
    """Random trials before the model of the sampler is used (tpe, gp)."""


def _time_of_day(text: str) -> str:
    if not _TIME_OF_DAY.fullmatch(text):
        raise ValueError(f"{text!r} is not a time of day: write it like 07:00")
    return text


TimeOfDay = Annotated[
    str, AfterValidator(_time_of_day), WithJsonSchema({"type": "string", "pattern": f"^({_TIME_OF_DAY.pattern})$"})
]


class Budget(Frozen):
    """When a study ends: at whichever comes first."""

    trials: Count | None = None
    """How many trials the study has in the end, trial 0 and the candidates included."""
    hours: Positive | None = None
    """Hours of wall time."""
    until: TimeOfDay | None = None
    """Local time of day, `07:00`."""


class Repeats(Frozen):
    """What is measured again, on fresh launches: the baseline to see a drift, finalists before one of them is named."""

    drift_every: Count | None = 10
    """After so many trials, and at the end, the baseline is measured again; `null` for never."""
    finalists: Annotated[int, Field(strict=True, ge=1, le=10)] = 2
    """How many of the best are measured again at the end of a study that has one, at the most."""
    confirm: Annotated[int, Field(strict=True, ge=0, le=50)] = 2
    """How often each finalist and the baseline are measured again then, at the most; 0 for not at all. All together are
    at most a quarter of the trials' launches.
    """


def _objective(name: str) -> str:
    if name not in _OBJECTIVES:
        nearest = get_close_matches(name, _OBJECTIVES, n=1)
        hint = f" (nearest: {nearest[0]})" if nearest else ""
        raise ValueError(f"{name!r} is no objective{hint}: {CAPACITY}, or a latency percentile such as ttft_p95")
    return name


Objective = Annotated[str, AfterValidator(_objective), WithJsonSchema({"type": "string", "enum": list(_OBJECTIVES)})]
"""`capacity_rps` (maximised), or a latency percentile at the target rate such as `ttft_p95` (minimised)."""


class WarmStart(Frozen):
    """An earlier study whose best configurations are measured anew, on whatever this one runs on."""

    study: StudyName
    """The earlier study's name."""
    db: str | None = None
    """Its result file, or any SQLAlchemy URL; without it, this study's own. No password: it is stored."""

    @field_validator("db")
    @classmethod
    def _holds_no_password(cls, db: str | None) -> str | None:
        if db is not None and holds_password(db):
            raise ValueError("holds a password, which would be stored: leave it to ~/.pgpass or PGPASSWORD")
        return db


def _bare_study(value: Any) -> Any:  # noqa: ANN401
    return {"study": value} if isinstance(value, str) else value


BareWarmStart = Annotated[WarmStart, BeforeValidator(_bare_study, json_schema_input_type=StudyName | WarmStart)]
"""A bare name means a study of the same result file."""


class StudySpec(Frozen):
    """A study, as its file says it."""

    study: StudyName
    """The study's name in the result file. Going on under the same name continues the study."""
    model: ModelName
    """A local directory or a hub name."""
    engine: Engine = Engine()
    """The interpreter that has vLLM, and what every launch has in common."""
    target_rps: Positive = 10.0
    """The requests per second the study is for."""
    candidates: tuple[FixedFlags, ...] = ()
    """Configurations to measure right after trial 0, such as the flags in use today."""
    warm_start: BareWarmStart | None = None
    """An earlier study whose best configurations are measured right after the candidates."""
    search_space: SearchSpace
    """The flags that are tuned: a space's name, a file, or the space itself."""
    workload: Workload = Workload()
    """What requests are like: a workload's name, a file, or the workload itself."""
    load: LoadPlan = LoadPlan()
    """How a trial is loaded."""
    slos: Annotated[Slos, Field(min_length=1)]
    """The latencies that a deployment must keep: `ttft_p95: 500ms`."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=3)] = (CAPACITY, "ttft_p95")
    """What the sampler improves: `capacity_rps`, or latencies at the target rate."""
    sampler: Sampler = Sampler()
    """Who proposes the next configuration."""
    budget: Budget = Budget()
    """When the study ends."""
    repeats: Repeats = Repeats()
    """What is measured again."""

    @field_validator("slos")
    @classmethod
    def _one_limit_each(cls, slos: tuple[Slo, ...]) -> tuple[Slo, ...]:
        if len({slo.name for slo in slos}) != len(slos):
            raise ValueError("an SLO stands twice")
        return slos

    @field_validator("objectives")
    @classmethod
    def _one_objective_each(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(objectives)) != len(objectives):
            raise ValueError("an objective stands twice")
        return objectives

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
