"""Results as tables for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from tuner.cli.console import copyable
from tuner.cli.drift_view import drift_line
from tuner.cli.long_table import print_long
from tuner.cli.plots import print_front_plot
from tuner.cli.text import (
    NOTHING,
    THROTTLED,
    bounds_text,
    capacity_text,
    date_text,
    figure_text,
    flags_text,
    joined,
    latency_text,
    milliseconds_text,
    outcome_text,
    plural,
    role_text,
    shorter,
)
from tuner.domain.overview import Overview
from tuner.domain.study import CAPACITY
from tuner.domain.trial import Study, TrialState

if TYPE_CHECKING:
    from tuner.analysis.best import Answer, Candidate, PointFigures
    from tuner.analysis.gain import Gain
    from tuner.study.front import Front, FrontTrial
    from tuner.study.listing import Listing

_NEEDED_NO_LAUNCH = frozenset({TrialState.DUPLICATE, TrialState.INFEASIBLE})


_BEATEN = 50
"""Dominated trials that a front lists, the best ones, unless all are asked for."""
_LONG = 200
"""Rows from which a table is printed as plain lines."""
_FLATTERED = 1.02
"""By how much a capacity must be flattered to say so."""


def print_answer(console: Console, answer: "Answer", study: Study) -> None:
    """Print what `tuner best` found: the choice and how sure it is, its evidence, the line to copy."""
    console.print(f"Study {answer.study}: {_what(study)}")
    console.print(
        f"For {answer.target_rps:g} req/s with {', '.join(answer.slos)}, {answer.headroom_wanted:g}× headroom:"
    )
    console.print()
    console.print(f"  {_headline(answer)}")
    console.print(f"  trial {answer.trial}: {flags_text(answer.flags)}")
    for line in (*_standing(answer), *_beside(answer)):
        console.print(f"  {line}")
    console.print()
    for sentence in answer.why:
        console.print(sentence)
    console.print(joined([answer.confirmed.text, answer.confirmed.command]))
    console.print()
    console.print(_rates(answer))
    console.print()
    copyable(console, answer.command)


def _standing(answer: "Answer") -> Iterator[str]:
    """Yield how the choice stands against the others."""
    if answer.ties:
        numbers = ", ".join(map(str, answer.ties))
        yield f"no clear winner among {len(answer.ties)}: trials {numbers} can't be told apart within noise"
    elif answer.clear_winner and answer.contenders > 1:
        yield f"the clear winner among {answer.contenders}"
    if answer.gain is not None and answer.baseline is not None and answer.baseline.trial != answer.trial:
        yield gain_text(answer.gain)
    expected = answer.expected
    if expected is not None and not answer.confirmed.repeated and expected.rps < answer.capacity_rps / _FLATTERED:
        bounds = bounds_text(expected.rps, expected.lower_rps, expected.upper_rps)
        yield f"the best of {answer.contenders} is flattered by chance: expect {bounds} of another launch"


def _beside(answer: "Answer") -> Iterator[str]:
    """Yield what the defaults and the user's candidates sustain, and what is left open."""
    if answer.baseline is not None and answer.baseline.trial != answer.trial:
        yield f"vLLM's defaults: {_sustained(answer.baseline)}"
    for candidate in answer.candidates:
        if candidate.trial != answer.trial:
            yield f"candidate {flags_text(candidate.flags)}: {_sustained(candidate)}"
    if answer.best.undecided is not None:
        yield f"undecided: {answer.best.undecided}"


def gain_text(gain: "Gain") -> str:
    """Return a gain over vLLM's defaults in one line, with its interval."""
    if gain.ratio is not None:
        return f"{gain.ratio:.2f}× the capacity of vLLM's defaults ({gain.lower or 0:.2f}–{gain.upper or 0:.2f})"
    bounds = [
        f"at least {gain.lower:.2f}×" if gain.lower is not None else "",
        f"at most {gain.upper:.2f}×" if gain.upper is not None else "",
    ]
    what = next((bound for bound in bounds if bound), "no ratio to")
    return f"{what} the capacity of vLLM's defaults: {gain.note}"


def _what(study: Study) -> str:
    provenance = study.provenance
    version = f"vLLM {provenance.vllm_version}" if provenance.vllm_version else ""
    return joined([study.spec.model, provenance.device or "", version])


def _headline(answer: "Answer") -> str:
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


def _sustained(candidate: "Candidate") -> str:
    at_target = candidate.at_target
    latency = f"TTFT p95 {milliseconds_text(at_target.ttft_p95_ms)} at the target" if at_target else ""
    bounds = bounds_text(candidate.capacity_rps, candidate.capacity_lower_rps, candidate.capacity_upper_rps)
    return joined([f"sustain {bounds}", latency])


def _rates(answer: "Answer") -> Table:
    """Return the rates that were measured, the defaults' beside them where they are not the answer."""
    table = plain_table("rate", "TTFT p50", "TTFT p95", "TPOT p50", "TPOT p95", "goodput", "SLOs")
    others = answer.baseline if answer.baseline is not None and answer.baseline.trial != answer.trial else None
    for column in ("defaults: TTFT p95", "TPOT p95", "SLOs") if others else ():
        table.add_column(column)
    theirs = {figures.rate: figures for figures in others.load_points} if others else {}
    mine = {figures.rate: figures for figures in answer.best.load_points if figures.rate is not None}
    for rate in sorted({*mine, *(rate for rate in theirs if rate is not None)}):
        beside = _default(theirs.get(rate)) if others else []
        table.add_row(f"{rate:.3g} req/s", *_own(mine.get(rate)), *beside)
    return table


def _own(figures: "PointFigures | None") -> list[str]:
    if figures is None:
        return [NOTHING] * 6
    return [
        milliseconds_text(figures.ttft_p50_ms),
        milliseconds_text(figures.ttft_p95_ms),
        milliseconds_text(figures.tpot_p50_ms),
        milliseconds_text(figures.tpot_p95_ms),
        f"{figures.goodput_rps:.2f}/s",
        met_text(slo_met=figures.slo_met),
    ]


def _default(figures: "PointFigures | None") -> list[str]:
    if figures is None:
        return [NOTHING] * 3
    return [
        milliseconds_text(figures.ttft_p95_ms),
        milliseconds_text(figures.tpot_p95_ms),
        met_text(slo_met=figures.slo_met),
    ]


def met_text(*, slo_met: bool) -> str:
    """Return whether SLOs were met, in a word."""
    return "met" if slo_met else "broken"


def print_studies(console: Console, found: Sequence[tuple[Study, Mapping[TrialState, int]]]) -> None:
    """Print the studies of a result file."""
    table = plain_table("study", "model", "device", "vLLM", "target", "trials", "measured", "failed", "begun")
    for study, states in found:
        table.add_row(
            study.name,
            study.spec.model,
            study.provenance.device or NOTHING,
            study.provenance.vllm_version or NOTHING,
            f"{study.spec.target_rps:g} req/s",
            str(sum(states.values())),
            str(states.get(TrialState.MEASURED, 0)),
            str(states.get(TrialState.FAILED, 0)),
            date_text(study.created_at),
        )
    console.print(table)


def print_trials(console: Console, study: Study, found: "Listing", *, everything: bool) -> None:
    """Print a study's trials with their figures at the target rate."""
    shown = [one for one in found.trials if everything or one.state not in _NEEDED_NO_LAUNCH]
    names = list(study.spec.search_space.parameters)
    console.print(f"Study {study.name}: {_what(study)}; figures at {study.spec.target_rps:g} req/s")
    columns = ("trial", "", *names, "capacity", "TTFT p95", "TPOT p95", "goodput", "SLOs", "outcome")
    rows = [[str(one.number), role_text(one.role), *_settings(one, names), *_figures(one)] for one in shown]
    print_rows(console, columns, rows)
    if line := drift_line(found.drift):
        console.print(line)
    hidden = len(found.trials) - len(shown)
    if hidden:
        console.print(f"{plural(hidden, 'more trial')} needed no launch; --all shows them.")


def _settings(trial: Overview, names: Sequence[str]) -> list[str]:
    return [
        shorter(value) if (value := trial.resolved.get(name, trial.flags.get(name))) is not None else NOTHING
        for name in names
    ]


def _figures(trial: Overview) -> list[str]:
    at_rate = trial.at_rate
    if at_rate is None or trial.state is not TrialState.MEASURED:
        return [NOTHING] * 5 + [outcome_text(trial)]
    return [
        capacity_text(trial.capacity),
        latency_text(at_rate.figures["ttft_p95"]),
        latency_text(at_rate.figures["tpot_p95"]),
        figure_text(at_rate.figures["goodput_rps"], ".2f", "/s"),
        met_text(slo_met=at_rate.slo_met),
        joined([outcome_text(trial), THROTTLED if trial.throttled else ""]),
    ]


def print_front(console: Console, front: "Front", *, everything: bool = False) -> None:
    """Print a front, best first, then what it dominates."""
    wanted = ", ".join(f"{name} ({direction})" for name, direction in zip(front.metrics, front.directions, strict=True))
    console.print(f"Study {front.study}: {wanted}; judged by {', '.join(front.slos)}")
    print_front_plot(console, front)
    members = [trial for trial in front.trials if trial.on_front]
    beaten = front.trials[len(members) :]
    shown = [*members, *(beaten if everything else beaten[:_BEATEN])]
    print_rows(
        console,
        ("", "trial", "", *front.metrics, "SLOs", "flags"),
        [_front_row(front.metrics, trial) for trial in shown],
    )
    if len(shown) < len(front.trials):
        hidden = len(front.trials) - len(shown)
        console.print(f"{plural(hidden, 'more trial')} {'is' if hidden == 1 else 'are'} dominated; --all shows them.")
    if front.without_figures:
        numbers = ", ".join(map(str, front.without_figures))
        console.print(f"Without one of these figures (too few requests for the percentile): trial {numbers}.")
    open_ = sum(trial.undecided is not None for trial in front.trials)
    if open_:
        told = "the measured rates, chosen for other SLOs, don't decide the capacity"
        console.print(
            f"Of {plural(open_, 'trial')} {told}; `tuner show TRIAL --slo …` names the load point that would."
        )


def _front_row(metrics: Sequence[str], trial: "FrontTrial") -> list[str]:
    return [
        "front" if trial.on_front else "dominated",
        str(trial.trial),
        role_text(trial.role),
        *(metric_text(name, trial.figures[name]) for name in metrics),
        met_text(slo_met=trial.slo_met),
        flags_text(trial.flags),
    ]


def metric_text(name: str, value: float) -> str:
    """Return a figure of a front by its name; latencies are seconds."""
    if name == CAPACITY or name.endswith(("_rps", "_per_s", "users_mean")):
        return f"{value:.4g}"
    return latency_text(value)


def print_rows(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; a long one as plain lines, since rich takes a second for a thousand rows."""
    if len(rows) > _LONG:
        print_long(console, columns, rows)
        return
    table = plain_table(*columns)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def plain_table(*columns: str) -> Table:
    """Return an empty table without a frame."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column)
    return table
