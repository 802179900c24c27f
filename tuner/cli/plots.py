"""Plots in a terminal: a front as points, a trial's latency against its rate. Beside the tables, never instead of them.

Only where a person looks at a terminal that is wide enough and not a dumb one. Shapes tell what colours tell, so that
`NO_COLOR` and colour-blind eyes lose nothing.
"""

import importlib
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from tuner.domain.slo import SLO_NAMES

if TYPE_CHECKING:
    from tuner.domain.measurement import LoadPoint
    from tuner.domain.slo import Slo
    from tuner.domain.trial import Study, Trial
    from tuner.study.front import Front, FrontTrial

_NARROWEST, _WIDEST = 60, 110
_LOWEST, _HIGHEST = 14, 22
_LOGARITHMIC_FROM = 20.0
"""Largest over smallest value from which an axis is logarithmic: one bad trial would press the others together."""
_FEWEST = 2
_DOMINATED, _ON_FRONT, _HELD, _BROKEN = "·", "●", "●", "×"


def can_plot(console: Console) -> bool:
    """Return whether a terminal can show a plot, and somebody can see it."""
    return (
        console.is_terminal
        and not console.is_dumb_terminal
        and console.width >= _NARROWEST
        and console.encoding.lower().startswith("utf")
    )


def print_front_plot(console: Console, front: "Front") -> None:
    """Print a front in its first two figures, where the terminal can show it and there is more than one point."""
    if not can_plot(console) or len(front.trials) < _FEWEST:
        return
    first, second = front.metrics[:2]
    plot = _Plot(console, f"{second} over {first}")
    for on, marker, label in ((False, _DOMINATED, "dominated"), (True, _ON_FRONT, "front")):
        shown = [each for each in front.trials if each.on_front is on]
        plot.points([(_shown(first, each), _shown(second, each)) for each in shown], marker, label)
    plot.show(_named(first), _named(second))


def print_trial_plot(console: Console, study: "Study", trial: "Trial") -> None:
    """Print the latency that limits a trial, or the first of its SLOs', against the rate, with the limit."""
    slo = next((one for one in study.spec.slos if trial.capacity and one.name == trial.capacity.limited_by), None)
    slo = slo or study.spec.slos[0]
    points = list(_measured(trial.judged_points, slo))
    if not can_plot(console) or len(points) < _FEWEST:
        return
    plot = _Plot(console, f"{slo.name} over the offered rate; the line is its limit")
    for met, marker, label in ((True, _HELD, "SLOs met"), (False, _BROKEN, "SLOs broken")):
        plot.points([(rate, seconds * 1e3) for rate, seconds, held in points if held is met], marker, label)
    plot.limit(slo.limit * 1e3)
    plot.show("req/s", "ms")


def _measured(points: "Sequence[LoadPoint]", slo: "Slo") -> "Iterator[tuple[float, float, bool]]":
    """Yield rate, latency in seconds and whether all SLOs were met, of every load point that has both figures."""
    for point in points:
        rate, seconds = point.arrivals.offered_rps, point.summary.latency(slo.latency).statistic(slo.percentile)
        if rate is not None and seconds is not None:
            yield rate, seconds, point.summary.slo_met


def _shown(name: str, trial: "FrontTrial") -> float:
    """Return a figure as it is drawn: latencies in milliseconds."""
    return trial.figures[name] * (1e3 if name in SLO_NAMES else 1.0)


def _named(name: str) -> str:
    return f"{name} (ms)" if name in SLO_NAMES else name


class _Plot:
    """One plot of plotext's, which keeps its state in the module."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._plotext: Any = importlib.import_module("plotext")  # without types
        self._values: list[tuple[float, float]] = []
        self._plotext.clear_figure()
        self._plotext.theme("clear")
        self._plotext.title(title)

    def points(self, values: Sequence[tuple[float, float]], marker: str, label: str) -> None:
        """Add points, named once."""
        known = [(x, y) for x, y in values if math.isfinite(x) and math.isfinite(y)]
        if known:
            self._values += known
            self._plotext.scatter([x for x, _ in known], [y for _, y in known], marker=marker, label=label)

    def limit(self, value: float) -> None:
        """Add a horizontal line."""
        self._values.append((self._values[0][0], value))
        self._plotext.hline(value)

    def show(self, x: str, y: str) -> None:
        """Print it, with the names of its axes."""
        xs, ys = zip(*self._values, strict=True)
        self._plotext.xscale(_scale(xs))
        self._plotext.yscale(_scale(ys))
        self._plotext.xlabel(x)
        self._plotext.ylabel(y)
        height = max(_LOWEST, min(_HIGHEST, self._console.height // 2))
        self._plotext.plotsize(min(self._console.width, _WIDEST), height)
        self._console.print(Text.from_ansi(str(self._plotext.build())), soft_wrap=True)


def _scale(values: Sequence[float]) -> str:
    return "log" if min(values) > 0 and max(values) / min(values) >= _LOGARITHMIC_FROM else "linear"
