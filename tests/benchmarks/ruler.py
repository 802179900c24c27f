"""The ruler against the truth, side by side with what a user would otherwise pick: `scripts/bench-ruler`.

A truth server (`tests/fakes/truth_server.py`) keeps to a timetable and writes down what it really did. Every client is
run against a fresh one, on the same two cores, and each of its figures is held against the server's own record. Another
truth server can be given: one that takes `--first` and `--step` in milliseconds, names its port at the end of its first
line, and answers GET /truth alike.
"""

import argparse
import asyncio
import json
import os
import resource
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tuner.domain.arrivals import Arrivals, ClosedLoop, PoissonArrivals
from tuner.domain.lengths import FixedLength
from tuner.domain.load import LoadJob, LoadResult, Outcome
from tuner.domain.workload import Workload
from tuner.load.process import run_job
from tuner.load.sessions import sessions

HERE = Path(__file__).parent
TRUTH_SERVER = (sys.executable, str(HERE.parent / "fakes" / "truth_server.py"))
VOCABULARY = 1000
PROMPT_KEPT = 64
"""Characters of a prompt's token ids that the truth server writes down."""
INPUT_TOKENS = 32
VLLM_BENCH = """
import argparse
from vllm.benchmarks.serve import add_cli_args, main
parser = argparse.ArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
"""`vllm bench serve` itself: the `vllm` command of a CPU build does not start, since its package has another name."""


@dataclass(frozen=True)
class Scenario:
    """What the server does, and what the client is asked for."""

    name: str
    arrivals: Arrivals
    requests: int
    tokens: int
    step_ms: float
    first_ms: float = 20.0


SCENARIOS = (
    Scenario("64", ClosedLoop(concurrency=64), 1024, 200, 10.0),
    Scenario("256", ClosedLoop(concurrency=256), 1024, 200, 10.0),
    Scenario("1000", ClosedLoop(concurrency=1000), 2000, 100, 100.0),
    Scenario("open", PoissonArrivals(rate=200.0), 4000, 8, 10.0),
)


@dataclass(frozen=True)
class Latencies:
    """Milliseconds."""

    ttft_mean: float
    ttft_p99: float
    tpot_mean: float


@dataclass(frozen=True)
class Row:
    """One run of one client."""

    scenario: str
    client: str
    completed: int
    truth: Latencies
    measured: Latencies
    cpu_us_per_token: float | None = None
    says: str = ""
    """What the client says of its own error."""
    best: float | None = None
    """Of several runs, the mean TTFT's smallest error, in ms; the other figures are the median run's."""

    @property
    def errors(self) -> tuple[float, float, float]:
        """Mean TTFT and p99 TTFT off by so many ms, mean TPOT by so many percent."""
        tpot = (self.measured.tpot_mean / self.truth.tpot_mean - 1) * 100
        return self.measured.ttft_mean - self.truth.ttft_mean, self.measured.ttft_p99 - self.truth.ttft_p99, tpot


Client = Callable[[Scenario, int], tuple[int, Latencies, float | None, str]]


def latencies(ttft_s: Iterable[float], tpot_s: Iterable[float]) -> Latencies:
    """Return the statistics of single values given in seconds."""
    ttft, tpot = np.array(list(ttft_s)) * 1e3, np.array(list(tpot_s)) * 1e3
    return Latencies(float(ttft.mean()), float(np.percentile(ttft, 99)), float(tpot.mean()))


@contextmanager
def truth_server(scenario: Scenario, server: Sequence[str]) -> Generator[int]:
    """Serve the scenario's timetable on a free port."""
    command = [*server, "--first", str(scenario.first_ms), "--step", str(scenario.step_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise AssertionError("its pipe was asked for")
            yield int(process.stdout.readline().split()[-1])
        finally:
            process.kill()


def _records(port: int) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/truth") as page:
        return json.load(page)


def truth(port: int) -> Latencies:
    """Return what the server really did."""
    answers = [each for each in _records(port) if len(each["sent"]) > 1]
    return latencies(
        (each["sent"][0] - each["received"] for each in answers),
        ((each["sent"][-1] - each["sent"][0]) / (len(each["sent"]) - 1) for each in answers),
    )


def tuner(scenario: Scenario, port: int) -> tuple[int, Latencies, float | None, str]:
    """Our own client, as a study uses it."""
    job = LoadJob(
        url=f"http://127.0.0.1:{port}",
        model="truth",
        vocabulary=VOCABULARY,
        workload=Workload(
            input_tokens=FixedLength(tokens=INPUT_TOKENS), output_tokens=FixedLength(tokens=scenario.tokens)
        ),
        arrivals=scenario.arrivals,
        requests=scenario.requests,
        deadline_s=600,
        seed=1,
    )
    result = asyncio.run(run_job(job, api_key="", on_progress=lambda _done, _total: None))
    done = [record for record in result.records if record.outcome is Outcome.OK]
    health = result.client
    figures = latencies(
        (record.event_times[0] - record.scheduled_at for record in done),
        ((record.event_times[-1] - record.event_times[0]) / (len(record.event_times) - 1) for record in done),
    )
    says = f"{health.loop_lag_mean * 1e3:.2f} ms, p99 {health.loop_lag_p99 * 1e3:.2f}"
    late = delivered(job, result, _records(port)) * 1e3
    if late.size:
        says += f" (really {late.mean():.2f}, {np.percentile(late, 99):.2f})"
    if not isinstance(scenario.arrivals, ClosedLoop):
        says += f"; sends late p99 {health.lateness_p99 * 1e3:.2f} ms"
    return len(done), figures, health.cpu_s / health.events * 1e6, says


def delivered(job: LoadJob, result: LoadResult, records: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Return how long after its sending each event's time was noted, in seconds: the real error of the client's times.

    Requests are told apart by their prompts; empty where the server wrote none down.
    """
    found = {each["prompt"]: each["sent"] for each in records if each.get("prompt")}
    asked = sessions(job.workload, job.requests, job.seed + job.workload.seed, first_token=0, vocabulary=VOCABULARY)
    late: list[float] = []
    for session, record in zip(asked, result.records, strict=True):
        prompt = ",".join(map(str, session.calls[0].content))
        sent = found.get(prompt[:PROMPT_KEPT], ())
        late += [seen + result.started_at - at for at, seen in zip(sent, record.event_times, strict=False)]
    return np.array(late)


def bare(scenario: Scenario, port: int) -> tuple[int, Latencies, float | None, str]:
    """The least that a client can do."""
    command = [sys.executable, str(HERE / "bare_reader.py"), "--port", str(port), "--requests", str(scenario.requests)]
    command += ["--tokens", str(scenario.tokens), "--concurrency", str(_users(scenario))]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    figures = latencies(found["ttft_s"], found["tpot_s"])
    return len(found["ttft_s"]), figures, found["cpu_s"] / found["tokens"] * 1e6, ""


def vllm_bench(python: Path, model: Path) -> Client:
    """Return `vllm bench serve` of an interpreter that has vLLM."""

    def run(scenario: Scenario, port: int) -> tuple[int, Latencies, float | None, str]:
        with tempfile.TemporaryDirectory() as folder:
            command = [
                str(python), "-c", VLLM_BENCH, "--backend", "openai",
                "--base-url", f"http://127.0.0.1:{port}", "--model", "truth", "--tokenizer", str(model),
                "--dataset-name", "random", "--random-input-len", str(INPUT_TOKENS),
                "--random-output-len", str(scenario.tokens), "--num-prompts", str(scenario.requests), "--ignore-eos",
                "--save-result", "--result-dir", folder, "--result-filename", "result.json", "--disable-tqdm",
                *_load("--max-concurrency", "--request-rate", scenario),
            ]  # fmt: skip
            _run(command)
            found = json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))
        figures = Latencies(found["mean_ttft_ms"], found["p99_ttft_ms"], found["mean_tpot_ms"])
        return found["completed"], figures, None, ""

    return run


def guidellm(command: Path, model: Path) -> Client:
    """Return GuideLLM's benchmark."""

    def run(scenario: Scenario, port: int) -> tuple[int, Latencies, float | None, str]:
        with tempfile.TemporaryDirectory() as folder:
            output, url = Path(folder) / "result.json", f"http://127.0.0.1:{port}"
            closed = isinstance(scenario.arrivals, ClosedLoop)
            profile = f"concurrent,streams={_users(scenario)}" if closed else f"poisson,rate={_rate(scenario)}"
            _run(
                [
                    str(command), "run", "--disable-console",
                    "--backend", f"kind=openai_http,target={url},model=truth,request_format=/v1/completions",
                    "--profile", f"kind={profile}", "--constraint", f"kind=max_requests,count={scenario.requests}",
                    "--tokenizer", f"kind=hf_auto,model={model}", "--output", f"kind=json,path={output}",
                    "--data", f"kind=synthetic_text,prompt_tokens={INPUT_TOKENS},output_tokens={scenario.tokens}",
                ]
            )  # fmt: skip
            found = json.loads(output.read_text(encoding="utf-8"))["benchmarks"][0]["metrics"]
        ttft = found["time_to_first_token_ms"]["successful"]
        tpot = found["inter_token_latency_ms"]["successful"]
        figures = Latencies(ttft["mean"], ttft["percentiles"]["p99"], tpot["mean"])
        return int(ttft["count"]), figures, None, ""

    return run


def aiperf(command: Path, model: Path) -> Client:
    """Return AIPerf's profile."""

    def run(scenario: Scenario, port: int) -> tuple[int, Latencies, float | None, str]:
        with tempfile.TemporaryDirectory() as folder:
            _run(
                [
                    str(command), "profile", "--model", "truth", "--url", f"http://127.0.0.1:{port}",
                    "--endpoint-type", "completions", "--streaming", "--tokenizer", str(model),
                    "--request-count", str(scenario.requests), "--synthetic-input-tokens-mean", str(INPUT_TOKENS),
                    "--output-tokens-mean", str(scenario.tokens), "--output-artifact-dir", folder, "--ui", "none",
                    "--use-server-token-count", "--extra-inputs", "ignore_eos:true",
                    *_load("--concurrency", "--request-rate", scenario),
                ]
            )  # fmt: skip
            found = json.loads(next(Path(folder).rglob("profile_export_aiperf.json")).read_text(encoding="utf-8"))
        ttft, tpot = found["time_to_first_token"], found["inter_token_latency"]
        figures = Latencies(ttft["avg"], ttft["p99"], tpot["avg"])
        return int(found["request_count"]["avg"]), figures, None, ""

    return run


def _users(scenario: Scenario) -> int:
    return scenario.arrivals.concurrency if isinstance(scenario.arrivals, ClosedLoop) else 0


def _load(closed: str, rate: str, scenario: Scenario) -> Sequence[str]:
    if isinstance(scenario.arrivals, ClosedLoop):
        return (closed, str(scenario.arrivals.concurrency))
    return (rate, _rate(scenario))


def _rate(scenario: Scenario) -> str:
    return f"{scenario.arrivals.offered_rps:g}"


def _run(command: Sequence[str]) -> None:
    quiet = {"VLLM_NO_USAGE_STATS": "1"}
    done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-800:]}")


def measure(scenario: Scenario, name: str, client: Client, server: Sequence[str]) -> Row:
    """Run one client against a fresh server."""
    with truth_server(scenario, server) as port:
        completed, measured, cpu, says = client(scenario, port)
        return Row(scenario.name, name, completed, truth(port), measured, cpu, says)


def median_row(rows: Sequence[Row]) -> Row:
    """Return the run whose mean TTFT is off by the median, with the median CPU time and the smallest error of all."""
    ordered = sorted(rows, key=lambda row: abs(row.errors[0]))
    times = [row.cpu_us_per_token for row in rows if row.cpu_us_per_token is not None]
    return replace(
        ordered[len(rows) // 2],
        cpu_us_per_token=statistics.median(times) if times else None,
        best=ordered[0].errors[0] if len(rows) > 1 else None,
    )


def table(rows: Sequence[Row]) -> Table:
    """Return the rows for people; CPU time is held against the bare reader's of the same scenario."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in (
        "scenario", "client", "completed", "TTFT mean (truth)", "off", "TTFT p99 (truth)", "off", "TPOT off",
        "CPU/token", "× bare", "its times late, by itself",
    ):  # fmt: skip
        shown.add_column(column)
    least = {row.scenario: row.cpu_us_per_token for row in rows if row.client == "bare reader"}
    for row in rows:
        mean, p99, tpot = row.errors
        shown.add_row(
            row.scenario,
            row.client,
            str(row.completed),
            f"{row.measured.ttft_mean:.2f} ms ({row.truth.ttft_mean:.2f})",
            f"{mean:+.2f} ms" + ("" if row.best is None else f" (best {row.best:+.2f})"),
            f"{row.measured.ttft_p99:.2f} ms ({row.truth.ttft_p99:.2f})",
            f"{p99:+.2f} ms",
            f"{tpot:+.2f} %",
            *_cpu(row.cpu_us_per_token, least.get(row.scenario)),
            row.says,
        )
    return shown


def _cpu(mine: float | None, least: float | None) -> tuple[str, str]:
    return f"{mine:.1f} µs" if mine else "", f"{mine / least:.2f}" if mine and least else ""


def clients(options: argparse.Namespace) -> Mapping[str, Client]:
    """Return the clients that are there; those that are not are named on standard error."""
    found: dict[str, Client] = {"tuner": tuner, "bare reader": bare}
    if options.vllm_python:
        found["vllm bench serve"] = vllm_bench(options.vllm_python, options.model.absolute())
    if options.guidellm:
        found["GuideLLM"] = guidellm(options.guidellm, options.model.absolute())
    if options.aiperf:
        found["AIPerf"] = aiperf(options.aiperf, options.model.absolute())
    return found


def run_all(options: argparse.Namespace, console: Console) -> list[Row]:
    """Measure every scenario with every client in turn, as often as asked, and return the median run of each."""
    rows: list[Row] = []
    for scenario in SCENARIOS:
        if options.scenario and scenario.name not in options.scenario:
            continue
        runs: dict[str, list[Row]] = {}
        for _ in range(options.repeats):
            for name, client in clients(options).items():
                if client is bare and not isinstance(scenario.arrivals, ClosedLoop):
                    continue
                console.print(f"{scenario.name}: {name} ...", highlight=False)
                try:
                    runs.setdefault(name, []).append(measure(scenario, name, client, options.truth_server))
                except (RuntimeError, subprocess.TimeoutExpired, KeyError, StopIteration) as error:
                    console.print(f"  no figures: {error!r}"[:1000], highlight=False)
        rows += [median_row(found) for found in runs.values() if found]
    return rows


def main() -> None:
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--scenario", action="append", choices=[each.name for each in SCENARIOS])
    parser.add_argument("--repeats", type=int, default=1, help="of so many runs the median is shown")
    parser.add_argument("--vllm-python", type=Path, help="an interpreter that has vLLM")
    parser.add_argument("--guidellm", type=Path, help="GuideLLM's command")
    parser.add_argument("--aiperf", type=Path, help="AIPerf's command")
    parser.add_argument("--model", type=Path, help="a directory with a tokenizer, for the others")
    parser.add_argument("--truth-server", type=shlex.split, default=TRUTH_SERVER, help="another one's command")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))  # a truth server must not outlive it
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    console = Console(width=max(190, shutil.get_terminal_size().columns))
    rows = run_all(options, console)
    console.print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
