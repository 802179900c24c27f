"""Owns what shows the parameters: how much each mattered, and all of them at once in parallel coordinates."""

from collections.abc import Sequence

from tuner.domain.flags import FlagValue
from tuner.domain.space import Parameter
from tuner.domain.trial import Trial
from tuner.report.chart import Axis, Figure, Parallel, Place, Plot, Point, Series, Table, Thread, Tone
from tuner.report.figures.fronts import trial_axis
from tuner.report.material import Material, Weight
from tuner.report.words import figure_name, figure_shown, figure_text, trial_title, value_text


def importance_figure(material: Material) -> Figure:
    """Return a bar for each parameter and objective, or why there is none."""
    heading = "Importance"
    if not material.weights:
        return Figure("importance", heading, "", missing=material.weights_note or "No importances were computed.")
    objectives = tuple(dict.fromkeys(weight.objective for weight in material.weights))
    rows = tuple((figure_name(w.objective), w.parameter, f"{w.share:.0%}") for w in material.weights)
    lead = "The share of an objective's variation that a parameter explains, over the search space as a whole."
    return Figure(
        "importance",
        heading,
        lead,
        tuple(_bars(name, [weight for weight in material.weights if weight.objective == name]) for name in objectives),
        (Table(("objective", "parameter", "importance"), rows),),
        notes=(material.weights_note,) if material.weights_note else (),
    )


def _bars(objective: str, weights: Sequence[Weight]) -> Plot:
    ordered = sorted(weights, key=lambda weight: -weight.share)
    said = figure_name(objective)
    points = tuple(Point(w.share * 100, w.parameter, (w.parameter, f"{w.share:.1%} of {said}")) for w in ordered)
    return Plot(
        id=f"importance-{objective.replace('_', '-')}",
        title=said,
        x=Axis("importance", unit="%", zero=True),
        y=Axis("", "category", categories=tuple(weight.parameter for weight in ordered)),
        series=(Series(said, Tone.FIRST, points, marks="bars"),),
        height=70 + 30 * len(ordered),
    )


def parallel_figure(material: Material, trials: Sequence[Trial]) -> Figure:
    """Return every shown, measured trial as a line across its parameters and its figures."""
    heading = "Parameters"
    measured = [trial for trial in trials if trial.number in material.judged]
    parameters = material.study.spec.search_space.parameters
    used = [name for name in parameters if any(_setting(trial, name) is not None for trial in measured)]
    if not measured or not used:
        return Figure("parallel", heading, "", missing="No measured trial has a tuned parameter.")
    axes = [_axis(name, parameters[name], [_setting(trial, name) for trial in measured]) for name in used]
    figures = [_figure_axis(material, name, measured) for name in material.metrics]
    chart = Parallel(
        id="parallel",
        title="Parameters and figures of every trial",
        axes=(*axes, *figures),
        threads=tuple(_thread(material, trial, used, axes) for trial in measured),
    )
    lead = "Each line is a trial: its flags on the left, its figures on the right. The arrow keys walk through them."
    return Figure("parallel", heading, lead, (chart,))


def _setting(trial: Trial, name: str) -> FlagValue | None:
    value = trial.resolved.get(name)
    return trial.flags.get(name) if value is None else value


def _axis(name: str, parameter: Parameter, values: Sequence[FlagValue | None]) -> Axis:
    known = [value for value in values if value is not None]
    if any(isinstance(value, (bool, str)) for value in known):
        return Axis(name, "category", categories=tuple(sorted({value_text(value) for value in known})))
    positive = all(isinstance(value, (int, float)) and value > 0 for value in known)
    return Axis(name, "log" if getattr(parameter, "log", False) and positive else "linear")


def _figure_axis(material: Material, name: str, trials: Sequence[Trial]) -> Axis:
    found = [material.judged[trial.number].figures.get(name) for trial in trials]
    return trial_axis(name, [figure_shown(name, value) for value in found if value is not None])


def _thread(material: Material, trial: Trial, names: Sequence[str], axes: Sequence[Axis]) -> Thread:
    figures = material.judged[trial.number].figures
    settings = [_place(_setting(trial, name), axis) for name, axis in zip(names, axes, strict=True)]
    shown = [figure_shown(name, figures[name]) if name in figures else None for name in material.metrics]
    said = " · ".join(f"{figure_name(name)} {figure_text(name, figures.get(name))}" for name in material.metrics)
    return Thread(
        places=(*settings, *shown),
        tone=material.tone(trial),
        label=(trial_title(trial), said),
        trial=trial.number,
    )


def _place(value: FlagValue | None, axis: Axis) -> Place | None:
    if value is None:
        return None
    return value_text(value) if axis.scale == "category" or isinstance(value, str) else float(value)
