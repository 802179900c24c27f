"""The answer in the report's words: headline, figures, reasons. Pure.

Owns the wording for the page alone; what is best, and why, is `tuner.study.answer`'s.
"""

from collections.abc import Iterator, Sequence

from tuner.analysis.best import Answer, Candidate
from tuner.analysis.comparison import Comparison, Entry
from tuner.analysis.confirmation import Status
from tuner.domain.slo import Slo
from tuner.domain.trial import Study
from tuner.domain.units import bounds_text, format_ms
from tuner.report.chart import Table
from tuner.report.material import Weight, Weights
from tuner.report.page_model import Fact, Tone, Verdict
from tuner.report.words import NOTHING, command_lines, counted, figure_name, flags_text, slo_text
from tuner.study.importance import Mattered

_FLATTERED = 1.02
"""A difference to what another launch should sustain that is worth a word."""
_STATUS: dict[Status, tuple[str, Tone]] = {
    Status.UNCONFIRMED: ("not confirmed", "open"),
    Status.CONFIRMED: ("confirmed", "good"),
    Status.CONTRADICTED: ("contradicted", "bad"),
    Status.INCONCLUSIVE: ("inconclusive", "open"),
}


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
    yield from _over_defaults(answer)
    yield _standing(answer)
    yield _confirmation(answer)
    at_target = answer.best.at_target
    if at_target is not None:
        tone = "good" if at_target.slo_met else "bad"
        where = f"at {at_target.rate:.3g} req/s" if at_target.rate is not None else ""
        yield Fact("TTFT p95", _milliseconds(at_target.ttft_p95_ms), where, tone)
        yield Fact("TPOT p95", _milliseconds(at_target.tpot_p95_ms), where, tone)


def _bounds(candidate: Candidate) -> str:
    low, high = candidate.capacity_lower_rps, candidate.capacity_upper_rps
    return f"{low:.3g}–{high:.3g}" if high is not None else f"{low:.3g} or more"


def _over_defaults(answer: Answer) -> Iterator[Fact]:
    """Yield the gain over vLLM's defaults, where they are not the answer themselves."""
    gain = answer.gain
    if gain is None or answer.baseline is None or answer.baseline.trial == answer.trial:
        return
    name = "capacity over defaults"
    if gain.ratio is not None:
        certain = gain.lower is not None and gain.lower > 1
        ends = f"90 % interval {gain.lower or 0:.2f}–{gain.upper or 0:.2f}"
        yield Fact(name, f"{gain.ratio:.2f}×", ends, "good" if certain else "open")
    elif gain.lower is not None:
        yield Fact(name, f"≥ {gain.lower:.2f}×", gain.note, "good" if gain.lower > 1 else "open")
    elif gain.upper is not None:
        yield Fact(name, f"≤ {gain.upper:.2f}×", gain.note, "open")
    else:
        yield Fact(name, "unknown", gain.note, "open")


def _standing(answer: Answer) -> Fact:
    """Return how the choice stands against the others."""
    among = f"of {answer.contenders:,} measured"
    if answer.ties:
        return Fact("standing", "no clear winner", f"{len(answer.ties):,} {among} within noise", "open")
    return Fact("standing", "clear winner" if answer.clear_winner else "named", among, "good")


def _confirmation(answer: Answer) -> Fact:
    """Return whether fresh launches say the same."""
    found = answer.confirmed
    name, tone = _STATUS[found.status]
    detail = f"at least {found.launches} fresh launches" if found.launches else "a single launch"
    return Fact("confirmation", name, detail, tone)


def _reasons(answer: Answer) -> Iterator[str]:
    if answer.flags:
        yield f"Changed from vLLM's defaults: {flags_text(answer.flags)}."
    yield from answer.why
    yield from _expectation(answer)
    if answer.best.undecided is not None:
        yield f"Undecided: {answer.best.undecided}."
    command = answer.confirmed.command
    yield f"{answer.confirmed.text} To settle it: {command}" if command else answer.confirmed.text


def _expectation(answer: Answer) -> Iterator[str]:
    """Yield what another launch should sustain, where the figure of the best one is flattered by having been chosen."""
    expected = answer.expected
    if expected is not None and not answer.confirmed.repeated and expected.rps < answer.capacity_rps / _FLATTERED:
        bounds = bounds_text(expected.rps, expected.lower_rps, expected.upper_rps)
        yield f"The best of {answer.contenders:,} is flattered by chance: expect {bounds} of another launch."


def weights_of(found: Sequence[Mattered], notes: Sequence[str] = ()) -> Weights:
    """Return what mattered as the page shows it."""
    said = [f"{figure_name(one.figure)}: {one.warning}" for one in found if one.warning]
    return Weights(
        single=tuple(
            Weight(one.figure, each.parameter, each.share, each.lower, each.upper, is_apart=each.is_apart)
            for one in found
            for each in one.parameters
        ),
        pairs=tuple((one.figure, each.first, each.second, each.share) for one in found for each in one.pairs),
        notes=(*said, *notes),
    )


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
