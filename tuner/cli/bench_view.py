"""What a measurement of a running server came to, for people."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from tuner.cli.bench_record import cpu_us_per_token
from tuner.cli.histogram import histogram_lines
from tuner.cli.tables import plain_table
from tuner.cli.text import NOTHING, date_text, duration_text, joined, latency_text, plural
from tuner.domain.bench import Bench
from tuner.domain.lengths import FixedLength, Length
from tuner.domain.load import Outcome, RequestRecord
from tuner.domain.measurement import Distribution, LoadPoint, Reconciliation, ServerFigures, SessionFigures, StepFigures
from tuner.domain.workload import Workload
from tuner.metrics.latency import tpot, ttft

_STATISTICS = ("mean", "p50", "p95", "p99")
_REASONS = 3
"""How many different reasons of failed requests are shown."""


def print_bench(console: Console, bench: Bench, records: Sequence[RequestRecord]) -> None:
    """Print a measurement whole, its failures and histograms from the raw records."""
    point = bench.point
    console.print(f"{bench.url} · {bench.model}")
    console.print(joined([point.arrivals.label, workload_text(bench.workload), f"seed {point.seed}"]))
    console.print(_requests(point))
    for line in _failures(records):
        console.print(line)
    if point.summary.completed:
        console.print()
        console.print(_latencies(point))
        console.print()
        for line in _figures(bench):
            console.print(line)
        _print_steps(console, point)
        _print_histograms(console, records)


def print_benches(console: Console, benches: Sequence[tuple[int, Bench]]) -> None:
    """Print the stored measurements of running servers."""
    columns = ("id", "begun", "url", "model", "load", "workload", "done", "failed")
    table = plain_table(*columns, "TTFT p95", "TPOT p95", "requests/s", "out tok/s", "client")
    for number, bench in benches:
        summary = bench.point.summary
        table.add_row(
            str(number),
            date_text(bench.point.started_at),
            bench.url,
            bench.model,
            bench.point.arrivals.label,
            workload_text(bench.workload),
            str(summary.completed),
            str(summary.failed),
            latency_text(summary.ttft.p95),
            latency_text(summary.tpot.p95),
            f"{summary.achieved_rps:.2f}",
            f"{summary.output_tokens_per_s:.0f}",
            "invalid" if summary.invalid else "valid",
        )
    console.print(table)


def workload_text(workload: Workload) -> str:
    """Return what requests are like, in a few words."""
    if workload.chain:
        return f"chain of {' → '.join(step.name for step in workload.chain)}"
    if workload.classes:
        return f"mix of {', '.join(each.name for each in workload.classes)}"
    if workload.trace is not None:
        return f"{workload.trace.format} trace {workload.trace.file}"
    lengths = f"{_length(workload.input_tokens)} + {_length(workload.output_tokens)} tokens"
    return f"conversations of {lengths} a turn" if workload.conversation else lengths


def _length(length: Length) -> str:
    return str(length.tokens) if isinstance(length, FixedLength) else f"≤{length.longest}"


def _requests(point: LoadPoint) -> str:
    summary = point.summary
    by_outcome = ", ".join(f"{count} {outcome}" for outcome, count in summary.errors.items())
    failed = f"{summary.failed} failed{f' ({by_outcome})' if by_outcome else ''}"
    return joined([f"{plural(summary.completed, 'request')} completed", failed, duration_text(point.duration)])


def _failures(records: Sequence[RequestRecord]) -> Iterator[str]:
    reasons = Counter(record.error for record in records if record.outcome is not Outcome.OK)
    for reason, count in reasons.most_common(_REASONS):
        yield f"  {count} × {reason}"
    if len(reasons) > _REASONS:
        yield f"  and {plural(len(reasons) - _REASONS, 'more reason')}"


def _latencies(point: LoadPoint) -> Table:
    summary = point.summary
    rows = {"TTFT": summary.ttft, "TPOT": summary.tpot, "ITL": summary.itl, "E2E": summary.e2e}
    if point.arrivals.kind != "closed":
        rows["TTFT from sending"] = summary.ttft_from_send
    table = plain_table("", *_STATISTICS)
    for name, found in rows.items():
        table.add_row(name, *_statistics(found))
    return table


def _statistics(found: Distribution) -> list[str]:
    return [latency_text(getattr(found, name)) for name in _STATISTICS]


def _figures(bench: Bench) -> Iterator[str]:
    summary = bench.point.summary
    yield _line(
        "throughput",
        f"{summary.achieved_rps:.2f} requests/s",
        f"{summary.output_tokens_per_s:.0f} output tokens/s",
        f"{summary.input_tokens_per_s:.0f} input tokens/s",
        f"{summary.users_mean:.1f} in flight (at most {summary.users_max})",
    )
    if bench.slos:
        yield _line("goodput", f"{summary.goodput_rps:.2f} requests/s within {', '.join(map(str, bench.slos))}")
        yield _line("SLOs", "met" if summary.slo_met else f"broken: {'; '.join(summary.slo_violations)}")
    elif summary.queue_growing:
        yield _line("queue", "requests in flight kept growing: this rate is above what the server sustains")
    yield from _client(bench.point)
    yield from _server(bench.point)
    if summary.sessions is not None:
        yield from _sessions(summary.sessions)


def _line(name: str, *parts: str) -> str:
    return f"{name:<12}{joined(parts)}"


def _client(point: LoadPoint) -> Iterator[str]:
    client, summary = point.client, point.summary
    per_token = cpu_us_per_token(point)
    late = f"late by {latency_text(client.lateness_p99)} at p99" if point.arrivals.kind != "closed" else ""
    lumps = f"{summary.tokens_per_event:.2f} tokens per event" if summary.tokens_per_event > 1.005 else ""  # noqa: PLR2004
    yield _line(
        "client",
        "invalid" if summary.invalid else "valid",
        f"own error {latency_text(client.loop_lag_mean)} mean, {latency_text(client.loop_lag_p99)} p99",
        late,
        f"{client.cpu_share:.0%} of a core",
        f"{per_token:.1f} µs CPU per token" if per_token is not None else "",
        lumps,
    )
    for reason in summary.invalid:
        yield _line("", reason)


def _server(point: LoadPoint) -> Iterator[str]:
    server = point.server
    if server == ServerFigures():
        yield _line("server", "no /metrics that can be read")
        return
    yield _line(
        "server",
        f"running {_number(server.running_mean, '.1f')} mean, {_number(server.running_max, '.0f')} max",
        f"waiting {_number(server.waiting_mean, '.1f')} mean, {_number(server.waiting_max, '.0f')} max",
        f"KV cache {_number(server.kv_cache_usage_max, '.1%')}",
        f"{_number(server.preemptions, '.0f')} preemptions",
        f"prefix hits {_number(server.prefix_cache_hit_rate, '.1%')}",
    )
    if point.reconciliation is not None:
        yield from _agreement(point.reconciliation)


def _agreement(found: Reconciliation) -> Iterator[str]:
    if found.mismatches:
        for number, mismatch in enumerate(found.mismatches):
            yield _line("" if number else "mismatch", mismatch)
        return
    client, server = latency_text(found.client_ttft_mean), latency_text(found.server_ttft_mean)
    told = f"mean TTFT from sending {client}, by the server {server}"
    if found.server_output_tokens == found.client_output_tokens:
        yield _line("agreement", "client and server counted the same requests and tokens", told)
    else:
        yield _line("agreement", "no counters to compare", told)


def _sessions(found: SessionFigures) -> Iterator[str]:
    yield _line(
        "sessions",
        f"{found.completed} completed, {found.failed} failed",
        f"{found.calls_mean:.1f} calls each",
        f"{latency_text(found.duration.mean)} mean, {latency_text(found.duration.p50)} p50",
        f"{latency_text(found.duration.p95)} p95",
    )
    alone = f"{found.idle_share_one_user:.0%} for a single user" if found.idle_share_one_user is not None else ""
    yield _line("idle", f"the engine had nothing to do {found.idle_share:.0%} of the time", alone)


def _print_steps(console: Console, point: LoadPoint) -> None:
    if not point.summary.steps:
        return
    columns = ("step", "done", "failed", "TTFT p50", "p95", "TPOT p50", "p95", "E2E p50", "p95")
    table = plain_table(*columns)
    for step in point.summary.steps:
        table.add_row(step.label, str(step.completed), str(step.failed), *_step_latencies(step))
    console.print()
    console.print(table)


def _step_latencies(step: StepFigures) -> list[str]:
    return [latency_text(value) for found in (step.ttft, step.tpot, step.e2e) for value in (found.p50, found.p95)]


def _print_histograms(console: Console, records: Sequence[RequestRecord]) -> None:
    done = [record for record in records if record.outcome is Outcome.OK]
    for title, values in (("TTFT", ttft(done)), ("TPOT", tpot(done))):
        lines = histogram_lines(title, values.tolist())
        if lines:
            console.print()
        for line in lines:
            console.print(line)


def _number(value: float | None, spec: str) -> str:
    return NOTHING if value is None else format(value, spec)
