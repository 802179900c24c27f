"""Owns several studies side by side: their fronts in one chart, their answers in another, and one table.

Nothing is averaged over studies, and what can't be compared (another workload, another target) is said, not hidden.
"""

from collections.abc import Iterator, Sequence

from tuner.report.chart import SERIES_TONES, Axis, Figure, Limit, Plot, Point, Series, Table, Tone
from tuner.report.figures.capacities import bounds
from tuner.report.figures.fronts import trial_axis
from tuner.report.material import Material
from tuner.report.words import NOTHING, capacity_text, figure_name, figure_shown, figure_text, flag_lines, trial_title

_HEAD = ("study", "device", "vLLM", "target", "the answer", "capacity", "headroom", "defaults")


def comparison_figures(
    materials: Sequence[Material], tables: Sequence[Table] = (), notes: Sequence[str] = ()
) -> tuple[Figure, ...]:
    """Return the studies' answers and fronts in common charts.

    Args:
        materials: at least two studies.
        tables: what a comparison found besides, such as the same configuration side by side.
        notes: what it said.
    """
    return (
        Figure(
            id="answers",
            heading="Side by side",
            lead="The best configuration of each study, and its capacity under that study's SLOs.",
            charts=(_capacities(materials),),
            tables=(Table(_HEAD, tuple(map(_row, materials))), *tables),
            notes=(*_differences(materials), *notes),
        ),
        _fronts(materials),
    )


def _differences(materials: Sequence[Material]) -> Iterator[str]:
    """Yield what keeps the studies from being compared."""
    first, *others = materials
    for other in others:
        names = f"{first.label} and {other.label}"
        if first.study.spec.workload.identity != other.study.spec.workload.identity:
            yield f"{names} had different workloads: their rates are not comparable."
        if set(first.slos) != set(other.slos):
            yield f"{names} are held against different SLOs; --slo holds them against the same."
        if first.target_rps != other.target_rps:
            yield f"{names} have different target rates: latencies are at each study's own; --target-rps sets one."


def _capacities(materials: Sequence[Material]) -> Plot:
    series = tuple(
        Series(material.label, tone, (_answer_point(material),))
        for material, tone in _toned(materials)
        if material.best is not None
    )
    return Plot(
        id="answers",
        title="Capacity of each study's answer, with 90 % intervals",
        x=Axis("requests per second", unit="req/s", zero=True),
        y=Axis("", "category", categories=tuple(material.label for material in materials)),
        series=series,
        limits=tuple(
            Limit("x", rate, f"target {rate:g}", "target")
            for rate in sorted({material.target_rps for material in materials})
        ),
        height=80 + 46 * len(materials),
    )


def _toned(materials: Sequence[Material]) -> Iterator[tuple[Material, Tone]]:
    for number, material in enumerate(materials):
        yield material, SERIES_TONES[number % len(SERIES_TONES)]


def _answer_point(material: Material) -> Point:
    number = material.best or 0
    judged = material.judged[number]
    low, high = bounds(judged.capacity)
    return Point(
        x=judged.capacity.rps,
        y=material.label,
        x_low=low,
        x_high=high,
        open_ended=high is None,
        label=(f"{material.label}, trial {number}", capacity_text(judged.capacity)),
    )


def _fronts(materials: Sequence[Material]) -> Figure:
    across, up = materials[0].metrics[:2]
    toned = [pair for pair in _toned(materials) if pair[0].metrics[:2] == (across, up)]
    lines = [_front(material, tone, across, up) for material, tone in toned]
    drawn = tuple(line for line in lines if line.points)
    if not drawn:
        return Figure("fronts", "Fronts", "", missing="No study has a front over these figures.")
    chart = Plot(
        id="fronts",
        title=f"{figure_name(up)} against {figure_name(across)}",
        x=trial_axis(across, [float(point.x) for line in drawn for point in line.points]),
        y=trial_axis(up, [float(point.y) for line in drawn for point in line.points]),
        series=drawn,
        height=400,
    )
    left = [material.label for material in materials if material.metrics[:2] != (across, up)]
    notes = (f"Left out, since their objectives are others: {', '.join(left)}.",) if left else ()
    return Figure(
        "fronts", "Fronts", "The trials of each study that no other of the same study beats.", (chart,), notes=notes
    )


def _front(material: Material, tone: Tone, across: str, up: str) -> Series:
    trials = {trial.number: trial for trial in material.trials}
    points = [
        Point(
            x=figure_shown(across, judged.figures[across]),
            y=figure_shown(up, judged.figures[up]),
            label=(
                f"{material.label}: {trial_title(trials[number])}",
                " · ".join(f"{figure_name(name)} {figure_text(name, judged.figures[name])}" for name in (across, up)),
                *flag_lines(trials[number].flags),
            ),
        )
        for number, judged in material.judged.items()
        if judged.on_front and {across, up} <= judged.figures.keys()
    ]
    return Series(material.label, tone, tuple(sorted(points, key=lambda point: float(point.x))), "straight")


def _row(material: Material) -> tuple[str, ...]:
    known = material.study.provenance
    best = material.judged.get(material.best) if material.best is not None else None
    baseline = next((material.judged.get(t.number) for t in material.trials if t.role == "baseline"), None)
    return (
        material.label,
        known.device or NOTHING,
        known.vllm_version or NOTHING,
        f"{material.target_rps:g} req/s",
        NOTHING if best is None else f"trial {material.best}",
        capacity_text(best.capacity if best else None),
        NOTHING if best is None else f"{best.capacity.rps / material.target_rps:.1f}×",
        capacity_text(baseline.capacity if baseline else None),
    )
