"""Owns what the page holds, in words and figures ready to be set: the answer, the parts, the trials that can be opened.

Plain values: `tuner.report.page` makes HTML of them. Times and figures are text already, so that one place decides how
each of them is written.
"""

from dataclasses import dataclass
from typing import Literal

from tuner.report.chart import Figure, Plot, Table

Tone = Literal["", "good", "bad", "open"]


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure with its name: a tile of the answer, a line of the provenance."""

    name: str
    value: str
    detail: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer."""

    headline: str
    question: str
    """What was asked: the target rate, the SLOs, the headroom."""
    command: str
    """The line to copy; empty where nothing was measured."""
    facts: tuple[Fact, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why this one, and what to be careful about, in sentences."""
    chart: Plot | None = None
    """Its capacity beside that of the others, with intervals."""
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class TrialSheet:
    """One trial, as it is shown when a reader opens it."""

    number: int
    title: str
    outcome: str
    command: str
    flags: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    points: Table
    launches: Table
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyPage:
    """One study's part of the page."""

    name: str
    subtitle: str
    """Model, device, version."""
    verdict: Verdict
    figures: tuple[Figure, ...]
    trials: tuple[TrialSheet, ...]
    provenance: tuple[Fact, ...]
    thinned: str = ""
    """What the charts leave out, where there was too much to show."""


@dataclass(frozen=True, slots=True)
class Page:
    """The whole page."""

    title: str
    made: str
    """When and by what."""
    studies: tuple[StudyPage, ...]
    comparison: tuple[Figure, ...] = ()
    """Where there are several studies: side by side."""
