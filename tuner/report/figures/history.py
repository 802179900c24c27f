"""Owns the optimisation history: each objective by trial, the best so far, and where trials failed."""

from collections.abc import Sequence

from tuner.domain.trial import Trial, TrialState
from tuner.report.chart import Axis, Figure, Plot, Point, Series, Tone
from tuner.report.figures.fronts import trial_axis
from tuner.report.material import Material
from tuner.report.words import figure_name, figure_shown, figure_text, is_maximised, outcome_text, trial_title

_NAMES = {
    Tone.OTHER: "sampled",
    Tone.FRONT: "on the front",
    Tone.TIE: "within noise of the answer",
    Tone.CANDIDATE: "your candidates",
    Tone.DEFAULTS: "vLLM's defaults",
    Tone.BEST: "the answer",
}


def history_figure(material: Material, trials: Sequence[Trial]) -> Figure:
    """Return a chart for each figure of the front."""
    charts = tuple(chart for name in material.metrics if (chart := _chart(material, trials, name)) is not None)
    if not charts:
        return Figure("history", "The search", "", missing="No trial was measured.")
    lead = "Each dot is a trial in the order of the night; the line is the best so far; crosses at the foot failed."
    return Figure("history", "The search", lead, charts)


def _chart(material: Material, trials: Sequence[Trial], name: str) -> Plot | None:
    placed = [trial for trial in trials if _value(material, trial, name) is not None]
    if not placed:
        return None
    values = [figure_shown(name, _value(material, trial, name) or 0.0) for trial in placed]
    marks = [
        Series(label, tone, tuple(_point(material, trial, name) for trial in placed if material.tone(trial) is tone))
        for tone, label in _NAMES.items()
    ]
    axis = trial_axis(name, values)
    foot = 0.0 if axis.scale == "linear" else min(values)
    failed = tuple(_failed(trial, foot) for trial in trials if trial.state is TrialState.FAILED)
    return Plot(
        id=f"history-{name.replace('_', '-')}",
        title=figure_name(name),
        x=Axis("trial"),
        y=Axis(axis.label, axis.scale, axis.unit, zero=axis.scale == "linear"),
        series=tuple(
            each
            for each in (_best_so_far(material, name), *marks, Series("failed", Tone.FAILED, failed))
            if each.points
        ),
        height=260,
    )


def _value(material: Material, trial: Trial, name: str) -> float | None:
    judged = material.judged.get(trial.number)
    return judged.figures.get(name) if judged else None


def _best_so_far(material: Material, name: str) -> Series:
    """Return the steps of the record over all trials, those not shown one by one included."""
    sign = -1.0 if is_maximised(name) else 1.0
    points: list[Point] = []
    last = None
    for trial in material.trials:
        value = _value(material, trial, name)
        if value is not None:
            last = trial.number
            if not points or sign * figure_shown(name, value) < sign * float(points[-1].y):
                points.append(Point(trial.number, figure_shown(name, value)))
    if points and last is not None and last != points[-1].x:
        points.append(Point(last, points[-1].y))
    return Series("best so far", Tone.FRONT, tuple(points), line="step", marks="none")


def _point(material: Material, trial: Trial, name: str) -> Point:
    value = _value(material, trial, name) or 0.0
    said = f"{figure_name(name)} {figure_text(name, value)}"
    return Point(trial.number, figure_shown(name, value), (trial_title(trial), said), trial.number)


def _failed(trial: Trial, foot: float) -> Point:
    evidence = trial.failure.evidence if trial.failure else ""
    label = (trial_title(trial), outcome_text(trial), *([evidence] if evidence else []))
    return Point(trial.number, foot, label, trial.number)
