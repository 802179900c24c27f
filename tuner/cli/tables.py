"""Results as tables for people."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tuner.analysis.best import Answer, Candidate, PointFigures
from tuner.analysis.figures import point_at
from tuner.cli.console import copyable
from tuner.cli.text import (
    NOTHING,
    bounds_text,
    capacity_text,
    date_text,
    flags_text,
    joined,
    latency_text,
    milliseconds_text,
    outcome_text,
    plural,
    role_text,
    shorter,
)
from tuner.domain.study import CAPACITY
from tuner.domain.trial import Study, Trial, TrialState
from tuner.study.front import Front

_NEEDED_NO_LAUNCH = frozenset({TrialState.DUPLICATE, TrialState.INFEASIBLE})


def print_answer(console: Console, answer: Answer, study: Study) -> None:
    """Print what `tuner best` found: the choice, its evidence, the defaults, the line to copy."""
    console.print(f"Study {answer.study}: {_what(study)}")
    console.print(
        f"For {answer.target_rps:g} req/s with {', '.join(answer.slos)}, {answer.headroom_wanted:g}× headroom:"
    )
    console.print()
    console.print(f"  {_headline(answer)}")
    console.print(f"  trial {answer.trial}: {flags_text(answer.flags)}")
    if answer.baseline is not None and answer.baseline.trial != answer.trial:
        console.print(f"  vLLM's defaults: {_sustained(answer.baseline)}")
    for candidate in answer.candidates:
        if candidate.trial != answer.trial:
            console.print(f"  candidate {flags_text(candidate.flags)}: {_sustained(candidate)}")
    console.print()
    console.print(_rates(answer))
    console.print()
    copyable(console, answer.command)


def _what(study: Study) -> str:
    provenance = study.provenance
    version = f"vLLM {provenance.vllm_version}" if provenance.vllm_version else ""
    return joined([study.spec.model, provenance.device or "", version])


def _headline(answer: Answer) -> str:
    capacity = bounds_text(answer.capacity_rps, answer.capacity_lower_rps, answer.capacity_upper_rps)
    if answer.sustained:
        return f"sustains {capacity}, {answer.headroom:.1f}× the target"
    needed = answer.target_rps * answer.headroom_wanted
    if answer.replicas is None:
        tried = plural(answer.contenders, "configuration")
        return f"No measured rate held on any of {tried}: the SLOs are out of reach"
    return (
        f"No configuration sustains {needed:g} req/s on one replica; the best sustains {capacity} "
        f"({answer.headroom:.1f}× the target): {answer.replicas} replicas would"
    )


def _sustained(candidate: Candidate) -> str:
    at_target = candidate.at_target
    latency = f"TTFT p95 {milliseconds_text(at_target.ttft_p95_ms)} at the target" if at_target else ""
    bounds = bounds_text(candidate.capacity_rps, candidate.capacity_lower_rps, candidate.capacity_upper_rps)
    return joined([f"sustain {bounds}", latency])


def _rates(answer: Answer) -> Table:
    table = plain_table(
        "rate",
        "TTFT p50",
        "TTFT p95",
        "TPOT p50",
        "TPOT p95",
        "goodput",
        "SLOs",
        "defaults: TTFT p95",
        "TPOT p95",
        "SLOs",
    )
    theirs = {figures.rate: figures for figures in answer.baseline.load_points} if answer.baseline else {}
    mine = {figures.rate: figures for figures in answer.best.load_points if figures.rate is not None}
    for rate in sorted({*mine, *(rate for rate in theirs if rate is not None)}):
        table.add_row(f"{rate:.3g} req/s", *_own(mine.get(rate)), *_default(theirs.get(rate)))
    return table


def _own(figures: PointFigures | None) -> list[str]:
    if figures is None:
        return [NOTHING] * 6
    return [
        milliseconds_text(figures.ttft_p50_ms),
        milliseconds_text(figures.ttft_p95_ms),
        milliseconds_text(figures.tpot_p50_ms),
        milliseconds_text(figures.tpot_p95_ms),
        f"{figures.goodput_rps:.2f}/s",
        _met(slo_met=figures.slo_met),
    ]


def _default(figures: PointFigures | None) -> list[str]:
    if figures is None:
        return [NOTHING] * 3
    return [
        milliseconds_text(figures.ttft_p95_ms),
        milliseconds_text(figures.tpot_p95_ms),
        _met(slo_met=figures.slo_met),
    ]


def _met(*, slo_met: bool) -> str:
    return "met" if slo_met else "broken"


def print_studies(console: Console, found: Sequence[tuple[Study, Sequence[Trial]]]) -> None:
    """Print the studies of a result file."""
    table = plain_table("study", "model", "device", "vLLM", "target", "trials", "measured", "failed", "begun")
    for study, trials in found:
        states = [trial.state for trial in trials]
        table.add_row(
            study.name,
            study.spec.model,
            study.provenance.device or NOTHING,
            study.provenance.vllm_version or NOTHING,
            f"{study.spec.target_rps:g} req/s",
            str(len(states)),
            str(states.count(TrialState.MEASURED)),
            str(states.count(TrialState.FAILED)),
            date_text(study.created_at),
        )
    console.print(table)


def print_trials(console: Console, study: Study, trials: Sequence[Trial], *, everything: bool) -> None:
    """Print a study's trials with their figures at the target rate."""
    shown = [trial for trial in trials if everything or trial.state not in _NEEDED_NO_LAUNCH]
    names = list(study.spec.search_space.parameters)
    console.print(f"Study {study.name}: {_what(study)}; figures at {study.spec.target_rps:g} req/s")
    table = plain_table("trial", "", *names, "capacity", "TTFT p95", "TPOT p95", "goodput", "SLOs", "outcome")
    for trial in shown:
        table.add_row(str(trial.number), role_text(trial.role), *_settings(trial, names), *_figures(study, trial))
    console.print(table)
    hidden = len(trials) - len(shown)
    if hidden:
        console.print(f"{plural(hidden, 'more trial')} needed no launch; --all shows them.")


def _settings(trial: Trial, names: Sequence[str]) -> list[str]:
    return [
        shorter(value) if (value := trial.resolved.get(name, trial.flags.get(name))) is not None else NOTHING
        for name in names
    ]


def _figures(study: Study, trial: Trial) -> list[str]:
    point = point_at(trial.judged_points, study.spec.target_rps)
    if point is None or trial.state is not TrialState.MEASURED:
        return [NOTHING] * 5 + [outcome_text(trial)]
    summary = point.summary
    return [
        capacity_text(trial.capacity),
        latency_text(summary.ttft.p95),
        latency_text(summary.tpot.p95),
        f"{summary.goodput_rps:.2f}/s",
        _met(slo_met=summary.slo_met),
        outcome_text(trial),
    ]


def print_front(console: Console, front: Front) -> None:
    """Print a front, best first, then what it dominates."""
    wanted = ", ".join(f"{name} ({direction})" for name, direction in zip(front.metrics, front.directions, strict=True))
    console.print(f"Study {front.study}: {wanted}")
    table = plain_table("", "trial", "", *front.metrics, "SLOs", "flags")
    for trial in front.trials:
        table.add_row(
            "front" if trial.on_front else "dominated",
            str(trial.trial),
            role_text(trial.role),
            *(_figure(name, trial.figures[name]) for name in front.metrics),
            _met(slo_met=trial.slo_met),
            flags_text(trial.flags),
        )
    console.print(table)
    if front.without_figures:
        numbers = ", ".join(map(str, front.without_figures))
        console.print(f"Without one of these figures (too few requests for the percentile): trial {numbers}.")


def _figure(name: str, value: float) -> str:
    if name == CAPACITY or name.endswith(("_rps", "_per_s", "users_mean")):
        return f"{value:.4g}"
    return latency_text(value)


def plain_table(*columns: str) -> Table:
    """Return an empty table without a frame."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column)
    return table
