"""Owns latency against offered rate: a chart for each percentile that matters, a curve for each configuration."""

from collections.abc import Iterator, Sequence
from itertools import product

from tuner.domain.measurement import LoadPoint
from tuner.domain.slo import Latency, Percentile, Slo
from tuner.domain.trial import Trial
from tuner.domain.units import format_ms
from tuner.report.chart import Axis, Figure, Limit, Plot, Point, Series, Table, Tone
from tuner.report.figures.capacities import row_name
from tuner.report.material import MOST_CURVES, Material, compared
from tuner.report.words import figure_name, latency_text, trial_title

_ALWAYS = tuple(product((Latency.TTFT, Latency.TPOT), (Percentile.P50, Percentile.P95)))
_SPARE = (Tone.SECOND, Tone.FOURTH, Tone.THIRD, Tone.OTHER)
"""For a second trial of the same kind, so that no two curves look alike."""
_FAR_ABOVE = 4.0
"""An axis ends this many times above the SLO's limit: what is beyond broke it anyway, however far."""
_HEAD = (
    "configuration",
    "rate",
    "requests",
    "TTFT p50",
    "TTFT p95",
    "TTFT p99",
    "TPOT p50",
    "TPOT p95",
    "TPOT p99",
    "goodput",
    "SLOs",
)


def curves_figure(material: Material) -> Figure:
    """Return the curves of the answer, the defaults, the candidates and what ties with the answer."""
    trials = compared(material, MOST_CURVES)
    charts = tuple(chart for which in _statistics(material.slos) if (chart := _chart(material, trials, *which)).points)
    if not charts:
        return Figure("curves", "Latency by rate", "", missing="No load point with a known rate was measured.")
    return Figure("curves", "Latency by rate", _lead(material), charts, (_table(material, trials),))


def _lead(material: Material) -> str:
    intervals = (
        "Bars are 90 % intervals of the percentile, from the requests themselves, dependence between them counted."
        if material.intervals
        else "The raw request records were pruned, so the percentiles have no intervals."
    )
    return f"Each dot is a load point, hollow where an SLO broke. {intervals}"


def _statistics(slos: Sequence[Slo]) -> list[tuple[Latency, Percentile]]:
    wanted = {*_ALWAYS, *((slo.latency, slo.percentile) for slo in slos)}
    return [which for which in product(Latency, Percentile) if which in wanted]


def rated(points: Sequence[LoadPoint]) -> list[LoadPoint]:
    """Return the valid open-loop load points at one rate, by rate."""
    valid = [point for point in points if point.arrivals.offered_rps is not None and not point.summary.invalid]
    return sorted(valid, key=lambda point: point.arrivals.offered_rps or 0.0)


def _chart(material: Material, trials: Sequence[Trial], latency: Latency, percentile: Percentile) -> Plot:
    name = f"{latency}_{percentile}"
    limits = [slo for slo in material.slos if slo.name == name]
    series = [
        Series(trial_title(trial), tone, tuple(_points(material, trial, latency, percentile)), "straight")
        for trial, tone in _toned(material, trials)
    ]
    highest = max((float(point.y) for each in series for point in each.points), default=0.0)
    most = min(limit.limit * 1e3 * _FAR_ABOVE for limit in limits) if limits else None
    return Plot(
        id=f"curve-{latency}-{percentile}",
        title=figure_name(name),
        x=Axis("offered rate", unit="req/s", zero=True),
        y=Axis(figure_name(name), unit="ms", zero=True, most=most if most is not None and most < highest else None),
        series=tuple(each for each in series if each.points),
        limits=(
            *(Limit("y", slo.limit * 1e3, f"limit {format_ms(slo.limit)}") for slo in limits),
            Limit("x", material.target_rps, f"target {material.target_rps:g}", "target"),
        ),
        height=260,
    )


def _toned(material: Material, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Tone]]:
    """Yield each trial with its tone, or with another where a trial before it has that already."""
    taken: set[Tone] = set()
    for trial in trials:
        tone = material.tone(trial)
        chosen = next((other for other in _SPARE if other not in taken), tone) if tone in taken else tone
        taken.add(chosen)
        yield trial, chosen


def _points(material: Material, trial: Trial, latency: Latency, percentile: Percentile) -> Iterator[Point]:
    name = f"{latency}_{percentile}"
    for point in rated(material.judged[trial.number].points):
        value = point.summary.latency(latency).statistic(percentile)
        if value is None or point.arrivals.offered_rps is None:
            continue
        given_up = bool(point.summary.given_up)  # what was still waiting is missing from it: it is at least this
        low, high = material.intervals.get((trial.number, point.index, name), (None, None))
        yield Point(
            x=point.arrivals.offered_rps,
            y=value * 1e3,
            y_low=value * 1e3 if given_up else None if low is None else low * 1e3,
            y_high=None if high is None else high * 1e3,
            open_ended=given_up,
            hollow=not point.summary.slo_met,
            trial=trial.number,
            label=_label(trial, point, f"{figure_name(name)} {format_ms(value)}", low, high),
        )


def _label(trial: Trial, point: LoadPoint, said: str, low: float | None, high: float | None) -> tuple[str, ...]:
    summary = point.summary
    interval = f" ({format_ms(low)} to {format_ms(high)})" if low is not None and high is not None else ""
    return (
        f"{row_name(trial)} at {point.arrivals.label}",
        f"{said}{interval}",
        f"{summary.completed + summary.failed} requests, goodput {summary.goodput_rps:.2f} req/s",
        *(summary.slo_violations or ("SLOs met",)),
    )


def point_cells(point: LoadPoint) -> tuple[str, ...]:
    """Return a load point's cells after its configuration and rate."""
    summary = point.summary
    return (
        str(summary.completed + summary.failed),
        *(latency_text(value) for value in (summary.ttft.p50, summary.ttft.p95, summary.ttft.p99)),
        *(latency_text(value) for value in (summary.tpot.p50, summary.tpot.p95, summary.tpot.p99)),
        f"{summary.goodput_rps:.2f} req/s",
        "met" if summary.slo_met else "; ".join(summary.slo_violations) or "broken",
    )


def _table(material: Material, trials: Sequence[Trial]) -> Table:
    rows = tuple(
        (row_name(trial), point.arrivals.label, *point_cells(point))
        for trial in trials
        for point in rated(material.judged[trial.number].points)
    )
    return Table(
        _HEAD, rows, "A dash is a percentile that the sample can't support: 20 requests for a p95, 459 for a p99."
    )
