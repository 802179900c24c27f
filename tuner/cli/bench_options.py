"""The options of `tuner bench`: what each is called, and what they mean together. Pure, but for reading a workload."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.domain.endpoint import Endpoint
from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from tuner.domain.arrivals import Arrivals
    from tuner.domain.workload import Workload

API_KEYS = ("VLLM_API_KEY", "OPENAI_API_KEY")
"""Where a key is looked for, in this order, unless --api-key-env names its variable."""


class ArrivalKind(StrEnum):
    """How requests of a given rate arrive."""

    POISSON = "poisson"
    CONSTANT = "constant"
    GAMMA = "gamma"


Url = Annotated[str, typer.Option("--url", help="The server's base URL.", metavar="URL")]
Model = Annotated[str | None, typer.Option("--model", help="Served model name; without it the only one.")]
EndpointOption = Annotated[
    Endpoint | None, typer.Option("--endpoint", help="Which endpoint to ask (completions, or the workload's).")
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", help="Closed loop: so many users, each waiting for answers.", min=1)
]
Rate = Annotated[
    float | None, typer.Option("--rate", help="Open loop: requests per second, whatever the server does.", min=1e-9)
]
ArrivalsOption = Annotated[
    ArrivalKind | None, typer.Option("--arrivals", help="How requests of --rate arrive (poisson).")
]
Burstiness = Annotated[
    float | None, typer.Option("--burstiness", help="Shape of gamma arrivals; below 1 in bursts.", min=1e-9)
]
Requests = Annotated[
    int | None, typer.Option("--requests", help="How many; of chains and conversations, user requests.", min=1)
]
Duration = Annotated[
    str | None, typer.Option("--duration", help="Send for so long, such as 60s or 5min; what runs may finish.")
]
Timeout = Annotated[
    str | None, typer.Option("--timeout", help="Cancel what runs once the server says nothing for so long (60s).")
]
InputTokens = Annotated[int | None, typer.Option("--input-tokens", help="Prompt tokens per request.")]
OutputTokens = Annotated[int | None, typer.Option("--output-tokens", help="Output tokens per request.")]
WorkloadOption = Annotated[
    str | None,
    typer.Option("--workload", help="A shipped workload by name (`tuner workloads`), or a file.", metavar="FILE"),
]
IgnoreEos = Annotated[
    bool | None,
    typer.Option("--ignore-eos/--no-ignore-eos", help="Ask for the full output length (vLLM and kin) or not."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random; without it a new one.", min=0)]
Vocabulary = Annotated[int | None, typer.Option("--vocabulary", help="Draw prompt token ids below this (256).", min=3)]
ApiKeyEnv = Annotated[
    str | None,
    typer.Option("--api-key-env", help="Variable that holds the API key (VLLM_API_KEY, else OPENAI_API_KEY)."),
]
Save = Annotated[bool, typer.Option("--save", help="Keep the measurement in the result file.")]


def workload_from(
    name: str | None,
    input_tokens: int | None,
    output_tokens: int | None,
    endpoint: Endpoint | None,
    ignore_eos: bool | None,
) -> "Workload":
    """Return the workload that the options describe.

    Raises:
        InputError: lengths beside a workload, or neither; no such workload; an impossible length.
    """
    from pydantic import ValidationError

    from tuner.domain.problems import explain
    from tuner.domain.workload import Workload
    from tuner.study.workload import load_workload

    lengths = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    given = [f"--{key.replace('_', '-')}" for key, value in lengths.items() if value is not None]
    if name is not None and given:
        raise InputError(f"{' and '.join(given)}: the workload says its lengths itself", where="--workload")
    if name is None and len(given) < len(lengths):
        raise InputError("give --input-tokens and --output-tokens, or a --workload", where="tuner bench")
    changes = {"endpoint": endpoint, "ignore_eos": ignore_eos}
    try:
        base = load_workload(name) if name is not None else Workload.model_validate(lengths)
    except ValidationError as error:
        raise explain(error, source="command line", model=Workload) from error
    return base.model_copy(update={key: value for key, value in changes.items() if value is not None})


def arrivals_from(
    concurrency: int | None,
    rate: float | None,
    kind: ArrivalKind | None,
    burstiness: float | None,
    workload: "Workload",
) -> "Arrivals":
    """Return how requests arrive.

    Raises:
        InputError: both or neither of --concurrency and --rate (a trace has times of its own), or an option that
            belongs to another one.
    """
    from tuner.domain.arrivals import ClosedLoop, ConstantArrivals, GammaArrivals, PoissonArrivals, TraceArrivals

    if concurrency is not None and rate is not None:
        raise InputError("--concurrency and --rate exclude each other: give one of them", where="tuner bench")
    if kind is not None and rate is None:
        raise InputError("belongs to --rate", where="--arrivals")
    if burstiness is not None and kind is not ArrivalKind.GAMMA:
        raise InputError("belongs to --arrivals gamma", where="--burstiness")
    if concurrency is not None:
        return ClosedLoop(concurrency=concurrency)
    if rate is None:
        if workload.trace is None or workload.trace.seconds is None:
            why = "the trace tells no times: " if workload.trace is not None else ""
            raise InputError(f"{why}give --concurrency (closed loop) or --rate (open loop)", where="tuner bench")
        return TraceArrivals()
    if kind is ArrivalKind.GAMMA:
        return GammaArrivals(rate=rate, burstiness=burstiness or 1.0)
    return ConstantArrivals(rate=rate) if kind is ArrivalKind.CONSTANT else PoissonArrivals(rate=rate)


def seconds_from(duration: str | None, option: str) -> float | None:
    """Return an option's duration in seconds; a bare number is seconds.

    Raises:
        InputError: no duration, or none at all.
    """
    from tuner.domain.units import parse_duration

    if duration is None:
        return None
    try:
        seconds = parse_duration(duration, default_unit="s")
    except ValueError as error:
        raise InputError(str(error), where=option) from error
    if seconds <= 0:
        raise InputError("must be above zero", where=option)
    return seconds


def check_count(requests: int | None, send_for: float | None, workload: "Workload") -> None:
    """Refuse both or neither of --requests and --duration; a trace alone is replayed as a whole.

    Raises:
        InputError: both, or neither.
    """
    if requests is not None and send_for is not None:
        raise InputError("--requests and --duration exclude each other: give one of them", where="tuner bench")
    if requests is None and send_for is None and workload.trace is None:
        raise InputError("give --requests or --duration", where="tuner bench")


def api_key(environ: Mapping[str, str], name: str | None) -> str:
    """Return the API key: that of the named variable, else of the first usual one that is set; empty without any.

    Raises:
        InputError: the named variable is not set.
    """
    if name is not None and not environ.get(name):
        raise InputError(f"the environment has no {name}", where="--api-key-env")
    names = (name,) if name is not None else API_KEYS
    return next((environ[each] for each in names if environ.get(each)), "")
