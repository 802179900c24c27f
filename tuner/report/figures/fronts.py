"""Owns the Pareto front as a chart: every shown trial by two figures, and the line that no trial is beyond."""

from collections.abc import Iterator, Sequence
from typing import Literal

from tuner.domain.study import CAPACITY
from tuner.domain.trial import Trial
from tuner.report.chart import Axis, Figure, Limit, Plot, Point, Series, Table, Tone
from tuner.report.figures.capacities import bounds
from tuner.report.material import Material, compared
from tuner.report.words import (
    figure_name,
    figure_shown,
    figure_text,
    figure_unit,
    flags_text,
    is_maximised,
    slo_text,
    trial_title,
)

_WIDE = 12.0
"""Values this many times apart are shown on a logarithmic axis."""
_NAMES = {
    Tone.OTHER: "beaten by another",
    Tone.FRONT: "on the front",
    Tone.TIE: "within noise of the answer",
    Tone.CANDIDATE: "your candidates",
    Tone.DEFAULTS: "vLLM's defaults",
    Tone.BEST: "the answer",
}


def front_figure(material: Material, trials: Sequence[Trial]) -> Figure:
    """Return the front over the first two figures."""
    across, up = material.metrics[:2]
    placed = [trial for trial in trials if {across, up} <= _figures(material, trial).keys()]
    if not placed:
        return Figure("front", "Trade-off", "", missing="No measured trial has both figures of the front.")
    return Figure(
        id="front",
        heading="Trade-off",
        lead=_lead(material),
        charts=(_chart(material, placed, across, up),),
        tables=(_table(material, placed),),
    )


def trial_axis(name: str, values: Sequence[float]) -> Axis:
    """Return the axis of a figure, logarithmic where latencies are far apart."""
    positive = [value for value in values if value > 0]
    far = bool(positive) and len(positive) == len(values) and max(positive) / min(positive) > _WIDE
    logarithmic = far and figure_unit(name) == "ms"
    return Axis(
        figure_name(name), "log" if logarithmic else "linear", figure_unit(name), zero=figure_unit(name) == "req/s"
    )


def _lead(material: Material) -> str:
    across, up = (figure_name(name) for name in material.metrics[:2])
    third = f" The front counts {figure_name(material.metrics[2])} too." if len(material.metrics) > 2 else ""  # noqa: PLR2004
    return (
        f"{across[0].upper()}{across[1:]} and {up}, latencies at {material.target_rps:g} req/s. "
        f"What no other trial beats in every figure is on the front.{third} "
        "Point at a trial for its flags, click it for all that was measured."
    )


def _figures(material: Material, trial: Trial) -> dict[str, float]:
    judged = material.judged.get(trial.number)
    return dict(judged.figures) if judged else {}


def _chart(material: Material, trials: Sequence[Trial], across: str, up: str) -> Plot:
    named = {trial.number for trial in (*compared(material), *_on_front(material, trials))}
    marks = [
        Series(
            name,
            tone,
            tuple(
                _point(material, trial, across, up, named=trial.number in named)
                for trial in trials
                if material.tone(trial) is tone
            ),
        )
        for tone, name in _NAMES.items()
    ]
    figures = [_figures(material, trial) for trial in trials]
    return Plot(
        id="front",
        title=f"{figure_name(up)} against {figure_name(across)}",
        x=trial_axis(across, [figure_shown(across, each[across]) for each in figures]),
        y=trial_axis(up, [figure_shown(up, each[up]) for each in figures]),
        series=tuple(each for each in (_line(material, trials, across, up), *marks) if each.points),
        limits=(*_limits(material, "x", across), *_limits(material, "y", up)),
        height=400,
    )


def _on_front(material: Material, trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if material.judged[trial.number].on_front]


def _line(material: Material, trials: Sequence[Trial], across: str, up: str) -> Series:
    places = sorted(
        (figure_shown(across, figures[across]), figure_shown(up, figures[up]))
        for figures in (_figures(material, trial) for trial in _on_front(material, trials))
    )
    held = "step-before" if is_maximised(across) else "step"
    return Series("the front", Tone.FRONT, tuple(Point(x, y) for x, y in places), held, "none")


def _limits(material: Material, axis: Literal["x", "y"], name: str) -> Iterator[Limit]:
    """Yield the SLOs on a figure, and the target rate on the capacity."""
    yield from (Limit(axis, figure_shown(name, slo.limit), slo_text(slo)) for slo in material.slos if slo.name == name)
    if name == CAPACITY:
        yield Limit(axis, material.target_rps, f"target {material.target_rps:g}", "target")


def _point(material: Material, trial: Trial, across: str, up: str, *, named: bool) -> Point:
    """Return a trial's mark, with its capacity's interval where it is named: on every dot it would hide them all."""
    judged = material.judged[trial.number]
    low, high = bounds(judged.capacity)
    on_x, on_y = named and across == CAPACITY, named and up == CAPACITY
    return Point(
        x=figure_shown(across, judged.figures[across]),
        y=figure_shown(up, judged.figures[up]),
        label=_label(material, trial),
        trial=trial.number,
        x_low=low if on_x else None,
        x_high=high if on_x else None,
        y_low=low if on_y else None,
        y_high=high if on_y else None,
        open_ended=high is None and (on_x or on_y),
    )


def _label(material: Material, trial: Trial) -> tuple[str, ...]:
    figures = _figures(material, trial)
    said = " · ".join(f"{figure_name(name)} {figure_text(name, figures.get(name))}" for name in material.metrics)
    return (trial_title(trial), said)


def _table(material: Material, trials: Sequence[Trial]) -> Table:
    first = material.metrics[0]
    ordered = sorted(_on_front(material, trials), key=lambda trial: -material.judged[trial.number].figures[first])
    rows = tuple(
        (
            trial_title(trial),
            *(figure_text(name, _figures(material, trial).get(name)) for name in material.metrics),
            flags_text(trial.flags),
        )
        for trial in ordered
    )
    return Table(("on the front", *map(figure_name, material.metrics), "flags"), rows)
