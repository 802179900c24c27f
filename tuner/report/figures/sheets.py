"""Owns the sheet of one trial, and the table of all of them: what a reader sees who wants to know everything."""

from collections.abc import Iterator, Sequence

from tuner.domain.flags import serve_command
from tuner.domain.trial import Launch, Trial
from tuner.report.chart import Figure, Table
from tuner.report.figures.curves import point_cells
from tuner.report.material import Material
from tuner.report.page_model import Fact, TrialSheet
from tuner.report.words import (
    NOTHING,
    capacity_text,
    clock_text,
    counted,
    duration_text,
    figure_name,
    figure_text,
    flags_text,
    outcome_text,
    trial_title,
    value_text,
)

_POINTS = ("load", "requests", "TTFT p50", "p95", "p99", "TPOT p50", "p95", "p99", "goodput", "SLOs")
_LAUNCHES = ("launch", "began", "purpose", "ready after", "capacity", "outcome")


def trial_sheet(material: Material, trial: Trial) -> TrialSheet:
    """Return everything that is worth reading of one trial."""
    judged = material.judged.get(trial.number)
    points = (judged.points if judged else trial.load_points) or trial.load_points
    others = {name: value for name, value in trial.resolved.items() if name not in trial.flags and value is not None}
    return TrialSheet(
        number=trial.number,
        title=trial_title(trial),
        outcome=outcome_text(trial),
        command=serve_command(material.study.spec.model, {**material.study.spec.base_flags(), **trial.flags}),
        flags=(
            *(Fact(name, value_text(value)) for name, value in trial.flags.items()),
            *(Fact(name, value_text(value), "as vLLM resolves it") for name, value in others.items()),
        ),
        facts=tuple(_facts(material, trial)),
        points=Table(_POINTS, tuple((point.arrivals.label, *point_cells(point)) for point in points)),
        launches=Table(_LAUNCHES, tuple(_launch(material, launch) for launch in trial.launches)),
        reasons=material.reasons.get(trial.number, ()),
    )


def _facts(material: Material, trial: Trial) -> Iterator[Fact]:
    judged = material.judged.get(trial.number)
    if judged:
        limit = f"limited by {judged.capacity.limited_by}" if judged.capacity.limited_by else ""
        yield Fact("capacity", capacity_text(judged.capacity), limit)
        yield from (
            Fact(figure_name(name), figure_text(name, value))
            for name, value in judged.figures.items()
            if name != "capacity_rps"
        )
        if judged.capacity.note:
            yield Fact("interval", judged.capacity.note)
    if trial.failure:
        yield Fact("why it failed", trial.failure.evidence or NOTHING, trial.failure.advice, "bad")
    cost = trial.load_cost
    yield Fact("took", duration_text(trial.seconds))
    yield Fact("load", f"{counted(cost.load_points, 'load point')}, {counted(cost.requests, 'request')}")


def _launch(material: Material, launch: Launch) -> tuple[str, ...]:
    outcome = f"{launch.failure.kind}: {launch.failure.evidence}" if launch.failure else "ran to its end"
    return (
        str(launch.attempt),
        clock_text(launch.started_at, material.zone),
        str(launch.purpose),
        duration_text(launch.ready_after),
        capacity_text(launch.capacity),
        outcome,
    )


def trials_figure(material: Material, trials: Sequence[Trial]) -> Figure:
    """Return the table of all shown trials."""
    rows = tuple(
        (
            str(trial.number),
            outcome_text(trial),
            *(_figure(material, trial, name) for name in material.metrics),
            flags_text(trial.flags),
        )
        for trial in trials
    )
    table = Table(("trial", "outcome", *map(figure_name, material.metrics), "flags"), rows)
    unlaunched = sum(trial.state.is_unlaunched for trial in material.trials)
    lead = (
        f"{counted(unlaunched, 'more trial')} needed no launch: refused by arithmetic, or measured before."
        if unlaunched
        else ""
    )
    return Figure("trials", "Trials", lead, tables=(table,))


def _figure(material: Material, trial: Trial, name: str) -> str:
    judged = material.judged.get(trial.number)
    if judged is None:
        return NOTHING
    return capacity_text(judged.capacity) if name == "capacity_rps" else figure_text(name, judged.figures.get(name))
