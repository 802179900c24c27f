"""The answer in the report's words: headline, figures, reasons. Pure.

Owns the wording for the page alone; what is best, and why, is `tuner.study.answer`'s.
"""

from collections.abc import Iterator, Sequence

from tuner.analysis.best import Answer, Candidate
from tuner.analysis.comparison import Comparison, Entry
from tuner.domain.slo import Slo
from tuner.domain.trial import Study
from tuner.domain.units import bounds_text, format_ms
from tuner.report.chart import Table
from tuner.report.page_model import Fact, Verdict
from tuner.report.words import NOTHING, command_lines, counted, flags_text, slo_text


def verdict_of(answer: Answer, slos: Sequence[Slo]) -> Verdict:
    """Return the answer as the page shows it, without its chart."""
    return Verdict(
        headline=_headline(answer),
        question=question(answer.target_rps, answer.headroom_wanted, slos),
        command=command_lines(answer.command),
        facts=tuple(_facts(answer)),
        reasons=tuple(_reasons(answer)),
    )


def no_verdict(study: Study, target_rps: float, headroom: float, slos: Sequence[Slo]) -> Verdict:
    """Return what is said where nothing was measured."""
    return Verdict(f"No trial of {study.name} was measured", question(target_rps, headroom, slos), "")


def question(target_rps: float, headroom: float, slos: Sequence[Slo]) -> str:
    """Return what was asked."""
    return f"Asked: {target_rps:g} req/s with {', '.join(map(slo_text, slos))}, and {headroom:g}× headroom."


def _headline(answer: Answer) -> str:
    if answer.sustained:
        what = "Deploy vLLM's defaults" if not answer.flags else f"Deploy trial {answer.trial}"
        return f"{what}: sustains {answer.capacity_rps:.3g} req/s, {answer.headroom:.1f}× the target"
    if answer.replicas is None:
        return (
            f"No measured rate held on any of {counted(answer.contenders, 'configuration')}: the SLOs are out of reach"
        )
    needed = answer.target_rps * answer.headroom_wanted
    return f"One replica sustains {answer.capacity_rps:.3g} req/s; {needed:g} req/s need {answer.replicas} replicas"


def _facts(answer: Answer) -> Iterator[Fact]:
    bounds = _bounds(answer.best)
    yield Fact("capacity", f"{answer.capacity_rps:.3g} req/s", f"90 % interval {bounds}")
    yield Fact(
        "headroom",
        f"{answer.headroom:.1f}×",
        f"{answer.headroom_wanted:g}× asked for",
        "good" if answer.sustained else "bad",
    )
    yield from _gain(answer)
    at_target = answer.best.at_target
    if at_target is not None:
        tone = "good" if at_target.slo_met else "bad"
        where = f"at {at_target.rate:.3g} req/s" if at_target.rate is not None else ""
        yield Fact("TTFT p95", _milliseconds(at_target.ttft_p95_ms), where, tone)
        yield Fact("TPOT p95", _milliseconds(at_target.tpot_p95_ms), where, tone)


def _bounds(candidate: Candidate) -> str:
    low, high = candidate.capacity_lower_rps, candidate.capacity_upper_rps
    return f"{low:.3g}–{high:.3g}" if high is not None else f"{low:.3g} or more"


def _gain(answer: Answer) -> Iterator[Fact]:
    baseline = answer.baseline
    if baseline is None or baseline.trial == answer.trial or baseline.capacity_rps <= 0:
        return
    ratio = answer.capacity_rps / baseline.capacity_rps
    theirs = bounds_text(baseline.capacity_rps, baseline.capacity_lower_rps, baseline.capacity_upper_rps)
    yield Fact("capacity over defaults", f"{ratio:.2f}×", f"they sustain {theirs}")


def _reasons(answer: Answer) -> Iterator[str]:
    if answer.flags:
        yield f"Changed from vLLM's defaults: {flags_text(answer.flags)}."
    yield f"Chosen among {counted(answer.contenders, 'measured configuration')}."


def _milliseconds(value: float | None) -> str:
    return NOTHING if value is None else format_ms(value / 1e3)


def comparison_tables(found: Comparison) -> tuple[Table, ...]:
    """Return what a comparison found besides the answers: differences, and equal configurations side by side."""
    labels = [one.label for one in found.studies]
    differences = tuple((each.what, *(each.values[label] for label in labels)) for each in found.differences)
    same = tuple(
        (flags_text(one.entries[0].flags), entry.study, str(entry.trial), _entry_bounds(entry), _over_first(entry))
        for one in found.configurations
        for entry in one.entries
    )
    made = (
        Table(("what differs", *labels), differences),
        Table(("the same configuration", "study", "trial", "capacity", "over the first"), same),
    )
    return tuple(table for table in made if table.rows)


def _entry_bounds(entry: Entry) -> str:
    return bounds_text(entry.capacity_rps, entry.capacity_lower_rps, entry.capacity_upper_rps)


def _over_first(entry: Entry) -> str:
    ratio = entry.to_first
    return NOTHING if ratio is None or ratio.value is None else f"{ratio.value:.2f}×"
