"""Owns what a chart can say: the few forms of chart that the page's script draws, as data without a pixel.

A chart is points, curves or bars over two axes, bars of time in lanes, or parallel coordinates. Measures nothing,
judges nothing, and knows no study. Every text is plain text: the page puts it in as text, never as markup.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Place = float | str
"""A place on an axis: a number, or a category's name."""


class Tone(StrEnum):
    """What a mark stands for; the page's style gives it its colour and shape."""

    BEST = "best"
    DEFAULTS = "defaults"
    CANDIDATE = "candidate"
    TIE = "tie"
    FRONT = "front"
    OTHER = "other"
    FAILED = "failed"
    MEASURE = "measure"
    DRIFT = "drift"
    CONFIRM = "confirm"
    REFINE = "refine"
    LOAD = "load"
    BROKEN = "broken"
    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"


SERIES_TONES = (Tone.FIRST, Tone.SECOND, Tone.THIRD, Tone.FOURTH)
"""Tones of series that mean nothing but themselves, such as studies or GPUs."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis. Times are milliseconds since the epoch, shifted to the zone in which they are to be read."""

    label: str
    scale: Literal["linear", "log", "time", "category"] = "linear"
    unit: str = ""
    categories: tuple[str, ...] = ()
    """Of a category axis, first at the top or the left."""
    zero: bool = False
    """Whether the axis begins at zero, however far away the values are."""
    most: float | None = None
    """The end of the axis, where values beyond it say no more; None for the largest value."""


@dataclass(frozen=True, slots=True)
class Point:
    """One mark: its place, its interval, and what is told of it where a reader points at it."""

    x: Place
    y: Place
    label: tuple[str, ...] = ()
    """Lines of text, the first as a heading."""
    trial: int | None = None
    """The number of the trial that it opens, where the page holds that trial."""
    x_low: float | None = None
    x_high: float | None = None
    y_low: float | None = None
    y_high: float | None = None
    open_ended: bool = False
    """The interval goes on to infinity at its upper end."""
    hollow: bool = False
    """Less than a full result: an SLO was broken here."""


@dataclass(frozen=True, slots=True)
class Series:
    """Marks of one kind."""

    name: str
    tone: Tone
    points: tuple[Point, ...]
    line: Literal["none", "straight", "step", "step-before"] = "none"
    """Steps hold a value until the next point, or from the one before."""
    marks: Literal["dots", "bars", "none"] = "dots"


@dataclass(frozen=True, slots=True)
class Limit:
    """A line across the chart: an SLO's limit, a target rate."""

    axis: Literal["x", "y"]
    value: float
    label: str
    tone: Literal["limit", "target"] = "limit"


@dataclass(frozen=True, slots=True)
class Table:
    """The same figures to read instead of to look at."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """Points, curves or bars over two axes."""

    id: str
    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    limits: tuple[Limit, ...] = ()
    kind: Literal["plot"] = "plot"
    height: int = 300
    """Pixels; of a chart with categories, what they need."""

    @property
    def points(self) -> int:
        """How many marks it has."""
        return sum(len(each.points) for each in self.series if each.marks != "none")


@dataclass(frozen=True, slots=True)
class Span:
    """A bar of time in a lane."""

    lane: str
    start: float
    end: float
    tone: Tone
    label: tuple[str, ...]
    trial: int | None = None


@dataclass(frozen=True, slots=True)
class Lanes:
    """Bars of time, one lane for each kind of thing that happened."""

    id: str
    title: str
    x: Axis
    lanes: tuple[str, ...]
    spans: tuple[Span, ...]
    kind: Literal["lanes"] = "lanes"

    @property
    def points(self) -> int:
        """How many marks it has."""
        return len(self.spans)


@dataclass(frozen=True, slots=True)
class Thread:
    """One trial across all the axes: a place on each, None where it has none."""

    places: tuple[Place | None, ...]
    tone: Tone
    label: tuple[str, ...]
    trial: int | None = None


@dataclass(frozen=True, slots=True)
class Parallel:
    """Parallel coordinates."""

    id: str
    title: str
    axes: tuple[Axis, ...]
    threads: tuple[Thread, ...]
    kind: Literal["parallel"] = "parallel"

    @property
    def points(self) -> int:
        """How many marks it has."""
        return len(self.threads)


Chart = Plot | Lanes | Parallel


@dataclass(frozen=True, slots=True)
class Figure:
    """A part of the page: charts with the words and the table that belong to them."""

    id: str
    heading: str
    lead: str
    """One or two sentences: how it is read, and what was left out."""
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    missing: str = ""
    """Why there is nothing to show, where there is not."""
    notes: tuple[str, ...] = field(default=())
