"""One trial whole, for people: what it was, what was measured, what the machine did meanwhile, and why."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tuner.analysis.best import point_figures
from tuner.analysis.explain import ExplainedPoint, explain_trial, is_throttled
from tuner.analysis.undecided import Undecided
from tuner.cli.console import copyable
from tuner.cli.plots import print_trial_plot
from tuner.cli.tables import plain_table
from tuner.cli.text import (
    NOTHING,
    THROTTLED,
    capacity_text,
    duration_text,
    figure_text,
    flags_text,
    joined,
    latency_text,
    milliseconds_text,
    outcome_text,
    plural,
    role_text,
)
from tuner.domain.flags import serve_command
from tuner.domain.measurement import LoadPoint, ServerFigures
from tuner.domain.telemetry import GpuFigures
from tuner.domain.trial import STARTUP, Launch, Study, Trial, TrialState

_GIB = 2**30
_BUSIEST = 3
"""How many processes of the engine are worth a column."""
_WHY = {"target": "at {load}, the load point of the target rate", "broke": "at {load}, where the SLOs broke"}


def print_trial(console: Console, study: Study, trial: Trial, undecided: Undecided | None = None) -> None:
    """Print one trial whole.

    Args:
        console: where to.
        study: its study, with the SLOs that the trial is judged by.
        trial: as it is under these SLOs.
        undecided: what its load points leave open of its capacity.
    """
    console.print(f"Trial {trial.number} of study {study.name} ({role_text(trial.role)}): {outcome_text(trial)}")
    console.print(f"  flags: {flags_text(trial.flags)}")
    if trial.failure is not None:
        console.print(f"  why: {trial.failure.evidence}")
        console.print(f"  what to do: {trial.failure.advice}" if trial.failure.advice else "")
    if trial.state is TrialState.MEASURED:
        console.print(f"  judged by: {', '.join(str(slo) for slo in study.spec.slos)}")
        console.print(f"  capacity: {_capacity(trial)}")
    if undecided is not None:
        console.print(f"  not decided: {undecided}")
    if trial.load_points:
        cost = trial.load_cost
        what = f"{plural(cost.load_points, 'load point')}, {cost.requests} requests"
        console.print(f"  load: {what}, {duration_text(cost.seconds)}")
    for launch in trial.launches:
        console.print(f"  launch {launch.attempt}: {_launch(launch)}")
    if trial.load_points:
        print_trial_plot(console, study, trial)
        _print_points(console, trial.load_points)
        _print_explanations(console, explain_trial(trial, study.spec))
    copyable(console, serve_command(study.spec.model, {**study.spec.base_flags(), **trial.flags}))


def _capacity(trial: Trial) -> str:
    capacity = trial.capacity
    if capacity is None:
        return NOTHING
    limit = f"limited by {capacity.limited_by}" if capacity.limited_by else ""
    return joined([capacity_text(capacity), limit, capacity.note])


def _launch(launch: Launch) -> str:
    ready = f"ready after {duration_text(launch.ready_after)}" if launch.ready_after is not None else "never ready"
    ended = f"exit {launch.exit_code}" if launch.exit_code is not None else ""
    phases = ", ".join(f"{name} {duration_text(seconds)}" for name, seconds in launch.resolved.get(STARTUP, {}).items())
    resolved = ", ".join(f"{name} {value}" for name, value in launch.resolved.items() if name != STARTUP)
    return joined([f"{ready} ({phases})" if phases else ready, ended, resolved, f"log {launch.log_path}"])


def _print_points(console: Console, points: Sequence[LoadPoint]) -> None:
    for table in (_load_points(points), _server(points), _client(points), _machine(points), _gpus(points)):
        if table.row_count:
            console.print(table)
    for remark in (f"{point.arrivals.label}: {text}" for point in points for text in _remarks(point)):
        console.print(remark)


def _remarks(point: LoadPoint) -> list[str]:
    """Return what makes a reader careful with a load point's figures."""
    disagreements = point.reconciliation.mismatches if point.reconciliation else ()
    return [
        *(f"invalid: {reason}" for reason in point.summary.invalid),
        *([f"ended early: {point.summary.given_up}"] if point.summary.given_up else []),
        *(f"client and server disagree: {what}" for what in disagreements),
    ]


def _print_explanations(console: Console, explained: Sequence[ExplainedPoint]) -> None:
    for point in explained:
        console.print()
        console.print(f"Why it is so {_WHY[point.why].format(load=point.load)}:")
        for explanation in point.explanations:
            console.print(f"  {explanation.kind.replace('_', ' ')}: {explanation.text}")
            if explanation.advice:
                console.print(f"    {explanation.advice}")


def _load_points(points: Sequence[LoadPoint]) -> Table:
    table = plain_table(
        "load",
        "requests",
        "failed",
        "TTFT p50",
        "p95",
        "p99",
        "TPOT p50",
        "p95",
        "p99",
        "ITL p95",
        "E2E p95",
        "goodput",
        "out tok/s",
        "users",
        "SLOs",
    )
    for point in points:
        summary, figures = point.summary, point_figures(point)
        table.add_row(
            joined([point.arrivals.label, THROTTLED if is_throttled(point) else ""]),
            str(summary.completed + summary.failed),
            str(summary.failed),
            *(milliseconds_text(value) for value in (figures.ttft_p50_ms, figures.ttft_p95_ms, figures.ttft_p99_ms)),
            *(milliseconds_text(value) for value in (figures.tpot_p50_ms, figures.tpot_p95_ms, figures.tpot_p99_ms)),
            latency_text(summary.itl.p95),
            latency_text(summary.e2e.p95),
            f"{summary.goodput_rps:.2f}/s",
            f"{summary.output_tokens_per_s:.0f}",
            f"{summary.users_mean:.1f}",
            "met" if summary.slo_met else "; ".join(summary.slo_violations),
        )
    return table


def _server(points: Sequence[LoadPoint]) -> Table:
    table = plain_table(
        "load",
        "server: running",
        "at most",
        "waiting",
        "KV cache",
        "preemptions",
        "prefix hits",
        "TTFT mean",
        "TPOT mean",
    )
    for point in points:
        table.add_row(point.arrivals.label, *_server_figures(point.server))
    return table


def _server_figures(server: ServerFigures) -> list[str]:
    return [
        figure_text(server.running_mean, ".1f"),
        figure_text(server.running_max, ".0f"),
        figure_text(server.waiting_mean, ".1f"),
        figure_text(server.kv_cache_usage_max, ".1%"),
        figure_text(server.preemptions, ".0f"),
        figure_text(server.prefix_cache_hit_rate, ".1%"),
        latency_text(server.ttft_mean),
        latency_text(server.tpot_mean),
    ]


def _client(points: Sequence[LoadPoint]) -> Table:
    table = plain_table(
        "load", "client: CPU", "late p99", "lag mean", "lag p99", "events/read", "tokens/event", "figures"
    )
    for point in points:
        client = point.client
        table.add_row(
            point.arrivals.label,
            f"{client.cpu_share:.0%}",
            latency_text(client.lateness_p99),
            latency_text(client.loop_lag_mean),
            latency_text(client.loop_lag_p99),
            figure_text(client.events_per_read, ".2f"),
            f"{point.summary.tokens_per_event:.2f}",
            "invalid" if point.summary.invalid else "valid",
        )
    return table


def _machine(points: Sequence[LoadPoint]) -> Table:
    table = plain_table("load", "machine: CPU", "least memory free", "engine's processes, in cores")
    for point in points:
        machine = point.machine
        if machine.samples:
            busiest = (f"{process.name} {process.cpu_share_mean:.2f}" for process in machine.processes[:_BUSIEST])
            table.add_row(
                point.arrivals.label,
                figure_text(machine.cpu_share_mean, ".0%"),
                _gib(machine.memory_available_min_bytes),
                ", ".join(busiest) or NOTHING,
            )
    return table


def _gpus(points: Sequence[LoadPoint]) -> Table:
    table = plain_table(
        "load",
        "GPU",
        "busy",
        "memory busy",
        "memory",
        "power",
        "energy",
        "SM clock",
        "least",
        "hottest",
        "held back by",
    )
    for point in points:
        for gpu in point.machine.gpus:
            table.add_row(point.arrivals.label, str(gpu.index), *_gpu_figures(gpu))
    return table


def _gpu_figures(gpu: GpuFigures) -> list[str]:
    return [
        figure_text(gpu.utilisation_mean, ".0%"),
        figure_text(gpu.memory_utilisation_mean, ".0%"),
        _gib(gpu.memory_used_max_bytes),
        figure_text(gpu.power_mean_w, ".0f", " W"),
        figure_text(gpu.energy_j, ".0f", " J"),
        figure_text(gpu.sm_clock_mean_mhz, ".0f", " MHz"),
        figure_text(gpu.sm_clock_min_mhz, ".0f", " MHz"),
        figure_text(gpu.temperature_max_c, ".0f", " °C"),
        ", ".join(f"{reason} {share:.0%}" for reason, share in gpu.throttled.items()) or NOTHING,
    ]


def _gib(count: int | None) -> str:
    return figure_text(None if count is None else count / _GIB, ".1f", " GiB")
