"""`tuner bench` and `tuner benches`: the ruler on a server that is already running, and what it found before."""

import os
import secrets
import signal
from typing import TYPE_CHECKING

import typer

from tuner.cli import bench_options as options
from tuner.cli.options import DEFAULT_DATABASE, Database, Json, SloOptions, parse_slos
from tuner.cli.signals import SIGNALLED, until_signalled
from tuner.domain.errors import SurroundingsError

if TYPE_CHECKING:
    from tuner.study.bench import BenchPlan, Measured

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
    url: options.Url,
    model: options.Model = None,
    endpoint: options.EndpointOption = None,
    concurrency: options.Concurrency = None,
    rate: options.Rate = None,
    arrivals: options.ArrivalsOption = None,
    burstiness: options.Burstiness = None,
    requests: options.Requests = None,
    duration: options.Duration = None,
    timeout: options.Timeout = None,
    input_tokens: options.InputTokens = None,
    output_tokens: options.OutputTokens = None,
    workload: options.WorkloadOption = None,
    ignore_eos: options.IgnoreEos = None,
    seed: options.Seed = None,
    vocabulary: options.Vocabulary = None,
    slo: SloOptions = None,
    api_key_env: options.ApiKeyEnv = None,
    db: Database = DEFAULT_DATABASE,
    *,
    save: options.Save = False,
    as_json: Json = False,
) -> None:
    """Measure an OpenAI-compatible server that is already running.

    Sends --concurrency users or a --rate, for a number of --requests or a --duration. Latencies count from a request's
    intended start; percentiles that the sample can't support are left out (p99 needs 459 requests). Every figure is
    over all completed requests. The client's own error stands beside them.

    The same --seed sends the same prompts: a server that saw them finds them in its prefix cache.
    """
    from tuner.study.bench import SILENCE_S, VOCABULARY, BenchPlan, base_url

    asked = options.workload_from(workload, input_tokens, output_tokens, endpoint, ignore_eos)
    arriving = options.arrivals_from(concurrency, rate, arrivals, burstiness, asked)
    send_for = options.seconds_from(duration, "--duration")
    options.check_count(requests, send_for, asked)
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
        silence_s=options.seconds_from(timeout, "--timeout") or SILENCE_S,
    )
    measured = _measure(plan, options.api_key(os.environ, api_key_env), db if save else None)
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


def _measure(plan: "BenchPlan", key: str, db: str | None) -> "Measured":
    """Run the measurement with a live view, and keep it where a result file is named."""
    import asyncio
    import time

    from tuner.cli.bench_progress import Advance, bench_progress
    from tuner.cli.console import stderr
    from tuner.store.location import DatabaseLocation
    from tuner.study.bench import keeping, measure

    console = stderr()
    advance = Advance(time.monotonic, plan.arrivals.label, plan.send_for_s)
    location = DatabaseLocation.parse(db) if db is not None else None
    with keeping(location) as keep:
        with bench_progress(console, advance) as on_progress:
            found = asyncio.run(until_signalled(measure(plan, api_key=key, on_progress=on_progress)))
        if isinstance(found, signal.Signals):
            console.print("Stopped before its end: nothing was measured.")
            raise typer.Exit(SIGNALLED + found)
        number = keep(found)
    if found.ran_short:
        console.print("All prepared requests were sent before the time was over: the run is shorter than asked for.")
    if number is not None and location is not None:
        console.print(
            f"Kept as measurement {number} of {location.display}; `tuner benches` lists them.", soft_wrap=True
        )
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
