"""Owns what shows the parameters: how much each mattered, and all of them at once in parallel coordinates."""

from collections.abc import Iterator, Sequence

from tuner.domain.flags import FlagValue
from tuner.domain.space import Parameter
from tuner.domain.trial import Trial
from tuner.report.chart import Axis, Figure, Parallel, Place, Plot, Point, Series, Table, Thread, Tone
from tuner.report.figures.fronts import trial_axis
from tuner.report.material import Material, Weight
from tuner.report.words import figure_name, figure_shown, figure_text, trial_title, value_text


def importance_figure(material: Material) -> Figure:
    """Return a bar for each parameter and objective, or why there is none."""
    found, heading = material.weights, "Importance"
    if not found.single:
        return Figure("importance", heading, "", missing=" ".join(found.notes) or "No importances were computed.")
    objectives = tuple(dict.fromkeys(weight.objective for weight in found.single))
    return Figure(
        "importance",
        heading,
        "How differently a flag is set in the best trials than in all, as a share of all flags (Optuna's PED-ANOVA). "
        "Whiskers are 90 % intervals; a grey bar can't be told apart from chance.",
        tuple(_bars(name, [weight for weight in found.single if weight.objective == name]) for name in objectives),
        tuple(_tables(material)),
        notes=found.notes,
    )


def _bars(objective: str, weights: Sequence[Weight]) -> Plot:
    ordered = sorted(weights, key=lambda weight: -weight.share)
    said = figure_name(objective)
    series = (
        Series(name, tone, tuple(_bar(weight, said) for weight in ordered if weight.is_apart is apart), marks="bars")
        for name, tone, apart in (("mattered", Tone.FIRST, True), ("within chance", Tone.OTHER, False))
    )
    return Plot(
        id=f"importance-{objective.replace('_', '-')}",
        title=said,
        x=Axis("importance", unit="%", zero=True),
        y=Axis("", "category", categories=tuple(weight.parameter for weight in ordered)),
        series=tuple(each for each in series if each.points),
        height=70 + 30 * len(ordered),
    )


def _bar(weight: Weight, objective: str) -> Point:
    apart = "" if weight.is_apart else ", within what chance brings"
    return Point(
        x=weight.share * 100,
        y=weight.parameter,
        label=(weight.parameter, f"{_share(weight)} of {objective}{apart}"),
        x_low=weight.lower * 100,
        x_high=weight.upper * 100,
    )


def _share(weight: Weight) -> str:
    return f"{weight.share:.0%} ({weight.lower:.0%}–{weight.upper:.0%})"


def _tables(material: Material) -> Iterator[Table]:
    rows = tuple(
        (figure_name(one.objective), one.parameter, _share(one), "yes" if one.is_apart else "no")
        for one in material.weights.single
    )
    yield Table(("objective", "parameter", "importance (90 % interval)", "told apart from chance"), rows)
    pairs = tuple(
        (figure_name(name), f"{first} with {second}", f"{share:.0%}")
        for name, first, second, share in material.weights.pairs
    )
    if pairs:
        yield Table(("objective", "to be chosen together", "explained only together"), pairs)


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
