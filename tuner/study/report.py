"""A report of one study or several: read, judged, and set as one HTML page."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tuner import __version__
from tuner.domain.errors import InputError
from tuner.report.chart import Figure
from tuner.report.comparison import comparison_figures
from tuner.report.material import Material, Weights
from tuner.report.page import render
from tuner.report.page_model import Page
from tuner.report.story import study_page
from tuner.study.compare import Stored, compare_studies
from tuner.study.front import at_rate_names
from tuner.study.importance import mattered
from tuner.study.report_material import Question, Source, material_of
from tuner.study.report_words import comparison_tables, weights_of


def newest(every: Sequence[Stored]) -> tuple[Stored, ...]:
    """Return the newest study of each file."""
    return tuple({one.reader.location.display: one for one in every}.values())


def report(chosen: Sequence[Stored], question: Question, *, now: datetime, clean: Callable[[str], str] = str) -> str:
    """Return the page about these studies.

    Args:
        chosen: at least one study, in the order of the page.
        question: target rate, SLOs and headroom.
        now: the moment it is made, in the zone in which times are written.
        clean: applied to every text, such as the blanking of secrets.

    Raises:
        InputError: a result file holds something that this version does not understand.
        SurroundingsError: a result file can't be read.
    """
    names = [one.study.name for one in chosen]
    labels = [one.study.name if names.count(one.study.name) == 1 else one.name for one in chosen]
    materials = [_material(one, label, question, now) for one, label in zip(chosen, labels, strict=True)]
    page = Page(
        title=f"{', '.join(labels)}: tuner report",
        made=f"Made by tuner {__version__} on {now:%Y-%m-%d %H:%M %Z}. This file is complete: it loads nothing.",
        studies=tuple(map(study_page, materials)),
        comparison=_side_by_side(chosen, materials, question) if len(materials) > 1 else (),
    )
    return render(page, clean=clean)


def _material(one: Stored, label: str, question: Question, now: datetime) -> Material:
    return material_of(
        one.study,
        one.reader.trials(one.study.id),
        question,
        Source(one.reader, one.reader.machine_samples),
        label=label,
        zone=now.tzinfo or UTC,
        weights=_weights(one, question),
    )


def _weights(one: Stored, question: Question) -> Weights:
    """Return what mattered, by the study's own SLOs."""
    names = one.study.spec.objectives
    rate = question.target_rps or one.study.spec.target_rps
    trials = one.reader.overviews(one.study.id, rate, at_rate_names(names))
    own = () if not question.slos else ("Capacities here are those under the study's own SLOs.",)
    return weights_of([mattered(one.study, trials, name) for name in names], own)


def _side_by_side(chosen: Sequence[Stored], materials: Sequence[Material], question: Question) -> tuple[Figure, ...]:
    """Return the comparison; of studies that can't be compared, each one's own answer, and why."""
    try:
        found = compare_studies(chosen, slos=question.slos, target_rps=question.target_rps, headroom=question.headroom)
    except InputError as error:
        return comparison_figures(materials, notes=(f"{error.what}.", error.advice) if error.advice else (error.what,))
    return comparison_figures(materials, comparison_tables(found), found.notes)
