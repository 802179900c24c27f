"""`tuner bench` and `tuner benches`: the ruler on a server that is already running, and what it found before."""

import asyncio
import os
import secrets
import signal
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.options import DEFAULT_DATABASE, Database, Json, SloOptions, parse_slos
from tuner.cli.signals import SIGNALLED, until_signalled
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.workload import Endpoint

if TYPE_CHECKING:
    from tuner.domain.arrivals import Arrivals
    from tuner.domain.workload import Workload
    from tuner.study.bench import BenchPlan, Measured

API_KEYS = ("VLLM_API_KEY", "OPENAI_API_KEY")
"""Where a key is looked for, in this order, unless --api-key-env names its variable."""


class ArrivalKind(StrEnum):
    """How requests of a given rate arrive."""

    POISSON = "poisson"
    CONSTANT = "constant"
    GAMMA = "gamma"


_BENCH_EXAMPLES = """Examples:

\b
tuner bench --url http://127.0.0.1:8000 --concurrency 32 --requests 1000 \\
  --input-tokens 512 --output-tokens 128

\b
tuner bench --url http://127.0.0.1:8000 --rate 10 --duration 2min \\
  --input-tokens 512 --output-tokens 128 --slo ttft_p95=500ms --json

\b
tuner bench --url https://llm.example.org --workload chat \\
  --concurrency 8 --requests 459 --save
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("bench", epilog=_BENCH_EXAMPLES)(bench)
    app.command("benches", epilog="Example: tuner benches --db results.db")(benches)


def bench(  # options are what a command has
    url: Annotated[str, typer.Option("--url", help="The server's base URL.", metavar="URL")],
    model: Annotated[str | None, typer.Option("--model", help="Served model name; without it the only one.")] = None,
    endpoint: Annotated[
        Endpoint | None, typer.Option("--endpoint", help="Which endpoint to ask (completions, or the workload's).")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", help="Closed loop: so many users, each waiting for answers.", min=1),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Open loop: requests per second, whatever the server does.", min=1e-9)
    ] = None,
    arrivals: Annotated[
        ArrivalKind | None, typer.Option("--arrivals", help="How requests of --rate arrive (poisson).")
    ] = None,
    burstiness: Annotated[
        float | None, typer.Option("--burstiness", help="Shape of gamma arrivals; below 1 in bursts.", min=1e-9)
    ] = None,
    requests: Annotated[
        int | None, typer.Option("--requests", help="How many; of chains and conversations, user requests.", min=1)
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", help="Send for so long, such as 60s or 5min; what runs may finish.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", help="Cancel what runs once the server says nothing for so long (60s).")
    ] = None,
    input_tokens: Annotated[int | None, typer.Option("--input-tokens", help="Prompt tokens per request.")] = None,
    output_tokens: Annotated[int | None, typer.Option("--output-tokens", help="Output tokens per request.")] = None,
    workload: Annotated[
        str | None, typer.Option("--workload", help="A shipped workload by name, or a file.", metavar="FILE")
    ] = None,
    ignore_eos: Annotated[
        bool | None,
        typer.Option("--ignore-eos/--no-ignore-eos", help="Ask for the full output length (vLLM and kin) or not."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of everything random; without it a new one.", min=0)
    ] = None,
    vocabulary: Annotated[
        int | None, typer.Option("--vocabulary", help="Draw prompt token ids below this (256).", min=3)
    ] = None,
    slo: SloOptions = None,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", help="Variable that holds the API key (VLLM_API_KEY, else OPENAI_API_KEY)."),
    ] = None,
    db: Database = DEFAULT_DATABASE,
    *,
    save: Annotated[bool, typer.Option("--save", help="Keep the measurement in the result file.")] = False,
    as_json: Json = False,
) -> None:
    """Measure an OpenAI-compatible server that is already running.

    Sends --concurrency users or a --rate, for a number of --requests or a --duration. Latencies count from a request's
    intended start; percentiles that the sample can't support are left out (p99 needs 459 requests). Every figure is
    over all completed requests. The client's own error stands beside them.

    The same --seed sends the same prompts: a server that saw them finds them in its prefix cache.
    """
    from tuner.study.bench import SILENCE_S, VOCABULARY, BenchPlan, base_url

    asked = workload_from(workload, input_tokens, output_tokens, endpoint, ignore_eos)
    arriving = arrivals_from(concurrency, rate, arrivals, burstiness, asked)
    send_for = seconds_from(duration, "--duration")
    check_count(requests, send_for, asked)
    plan = BenchPlan(
        url=base_url(url),
        workload=asked,
        arrivals=arriving,
        seed=secrets.randbits(32) if seed is None else seed,
        model=model or "",
        requests=requests,
        send_for_s=send_for,
        slos=parse_slos(slo),
        vocabulary=vocabulary or VOCABULARY,
        silence_s=seconds_from(timeout, "--timeout") or SILENCE_S,
    )
    measured = _measure(plan, api_key(os.environ, api_key_env), db if save else None)
    _show(measured, as_json=as_json)


def benches(db: Database = DEFAULT_DATABASE, *, as_json: Json = False) -> None:
    """List the measurements that `tuner bench --save` kept."""
    from tuner.cli.bench_record import bench_record
    from tuner.cli.bench_view import print_benches
    from tuner.cli.console import print_json, stdout
    from tuner.store.location import DatabaseLocation
    from tuner.store.reader import open_reader

    with open_reader(DatabaseLocation.parse(db)) as reader:
        found = reader.benches()
    if as_json:
        print_json([{"id": number} | bench_record(each) for number, each in found])
    else:
        print_benches(stdout(), found)


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


def _measure(plan: "BenchPlan", key: str, db: str | None) -> "Measured":
    """Run the measurement with a live view, and keep it where a result file is named."""
    import time

    from tuner.cli.bench_progress import Advance, bench_progress
    from tuner.cli.console import stderr
    from tuner.store.location import DatabaseLocation
    from tuner.study.bench import keeping, measure

    console = stderr()
    advance = Advance(time.monotonic, plan.arrivals.label, plan.send_for_s)
    with keeping(DatabaseLocation.parse(db) if db is not None else None) as keep:
        with bench_progress(console, advance) as on_progress:
            found = asyncio.run(until_signalled(measure(plan, api_key=key, on_progress=on_progress)))
        if isinstance(found, signal.Signals):
            console.print("Stopped before its end: nothing was measured.")
            raise typer.Exit(SIGNALLED + found)
        number = keep(found)
    if found.ran_short:
        console.print("All prepared requests were sent before the time was over: the run is shorter than asked for.")
    if number is not None:
        console.print(f"Kept as measurement {number} of {db}; `tuner benches` lists them.", soft_wrap=True)
    return found


def _show(measured: "Measured", *, as_json: bool) -> None:
    """Print the measurement.

    Raises:
        SurroundingsError: not one request completed.
    """
    from tuner.cli.bench_record import bench_record
    from tuner.cli.bench_view import print_bench
    from tuner.cli.console import print_json, stdout

    if as_json:
        print_json(bench_record(measured.bench))
    else:
        print_bench(stdout(), measured.bench, measured.result.records)
    if not measured.bench.point.summary.completed:
        first = next((record.error for record in measured.result.records if record.error), "no request was sent")
        raise SurroundingsError(f"no request completed; the first one: {first}", where=measured.bench.url)
