"""Owns the night in time: launches by purpose, load points, the baseline measured again, GPU clocks and power."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from tuner.domain.measurement import LoadPoint
from tuner.domain.trial import Launch, Purpose, Trial, TrialRole
from tuner.report.chart import SERIES_TONES, Axis, Chart, Figure, Lanes, Plot, Point, Series, Span, Table, Tone
from tuner.report.figures.capacities import bounds
from tuner.report.material import Material, Reading
from tuner.report.words import capacity_text, clock_text, duration_text, trial_title

_LOAD = "load points"
_LANES = {
    Purpose.MEASURE: "measuring",
    Purpose.REFINE: "refining",
    Purpose.DRIFT: "drift checks",
    Purpose.CONFIRM: "confirming",
}
_TONES = {
    Purpose.MEASURE: Tone.MEASURE,
    Purpose.REFINE: Tone.REFINE,
    Purpose.DRIFT: Tone.DRIFT,
    Purpose.CONFIRM: Tone.CONFIRM,
}


def timeline_figure(material: Material, trials: Sequence[Trial]) -> Figure:
    """Return the launches and load points of the shown trials, the baseline's drift, and the machine's readings."""
    heading = "The night"
    launches = [(trial, launch) for trial in trials for launch in trial.launches]
    if not launches:
        return Figure("timeline", heading, "", missing="Nothing was launched.")
    charts: list[Chart] = [_lanes(material, trials, launches)]
    charts += [chart for chart in (_drift(material), *_machine(material)) if chart is not None]
    lead = (
        f"{len(launches)} launches, {duration_text(_hours(launches))} from the first to the last. "
        "The pale part of a bar is the server's start; red launches failed."
    )
    table = _table(material, launches)
    return Figure("timeline", heading, lead, tuple(charts), (table,), notes=tuple(_notes(material)))


def _notes(material: Material) -> Iterator[str]:
    if material.suspect:
        numbers = ", ".join(map(str, sorted(material.suspect)))
        yield f"A drift check beside them moved, so the figures of these trials are suspect: {numbers}."
    if not material.readings:
        yield "No machine readings are stored: no clocks and no power to show."


def _hours(launches: Sequence[tuple[Trial, Launch]]) -> float:
    first = min(launch.started_at for _, launch in launches)
    return (max(launch.ended_at or launch.started_at for _, launch in launches) - first).total_seconds()


def _time_axis() -> Axis:
    return Axis("time of day", "time")


def _lanes(material: Material, trials: Sequence[Trial], launches: Sequence[tuple[Trial, Launch]]) -> Lanes:
    purposes = [purpose for purpose in _LANES if any(launch.purpose is purpose for _, launch in launches)]
    loads = tuple(_load(material, trial, point) for trial in trials for point in trial.load_points)
    spans = (*(span for trial, launch in launches for span in _spans(material, trial, launch)), *loads)
    lanes = (*(_LANES[purpose] for purpose in purposes), *([_LOAD] if loads else []))
    return Lanes("night", "Launches and load points", _time_axis(), lanes, spans)


def _spans(material: Material, trial: Trial, launch: Launch) -> Iterator[Span]:
    began = launch.started_at
    ended = launch.ended_at or began + timedelta(seconds=launch.ready_after or 0.0)
    ready = min(began + timedelta(seconds=launch.ready_after), ended) if launch.ready_after is not None else ended
    lane, tone = _LANES[launch.purpose], Tone.FAILED if launch.failure else _TONES[launch.purpose]
    label = _launch_label(material, trial, launch)
    if ready > began:
        starting = Tone.FAILED if launch.failure and launch.ready_after is None else Tone.OTHER
        yield Span(lane, material.moment(began), material.moment(ready), starting, label, trial.number)
    if ended > ready:
        yield Span(lane, material.moment(ready), material.moment(ended), tone, label, trial.number)


def _launch_label(material: Material, trial: Trial, launch: Launch) -> tuple[str, ...]:
    ready = "never ready" if launch.ready_after is None else f"ready after {duration_text(launch.ready_after)}"
    failure = (f"{launch.failure.kind}: {launch.failure.evidence}",) if launch.failure else ()
    return (
        f"{trial_title(trial)}, launch {launch.attempt} ({launch.purpose})",
        f"{clock_text(launch.started_at, material.zone)}, {ready}",
        *failure,
    )


def _load(material: Material, trial: Trial, point: LoadPoint) -> Span:
    start = material.moment(point.started_at)
    met = "SLOs met" if point.summary.slo_met else "; ".join(point.summary.slo_violations) or "SLOs broken"
    label = (f"{trial_title(trial)} at {point.arrivals.label}", f"{duration_text(point.duration)}, {met}")
    tone = Tone.LOAD if point.summary.slo_met else Tone.BROKEN
    return Span(_LOAD, start, start + point.duration * 1e3, tone, label, trial.number)


def _drift(material: Material) -> Plot | None:
    """Return the baseline's capacity by time, None where it was measured once."""
    baseline = next((trial for trial in material.trials if trial.role is TrialRole.BASELINE), None)
    launches = [launch for launch in baseline.launches if launch.capacity is not None] if baseline else []
    if baseline is None or len(launches) < 2:  # noqa: PLR2004  # one measurement says nothing of drift
        return None
    points = tuple(_again(material, baseline, launch) for launch in launches)
    return Plot(
        id="drift",
        title="vLLM's defaults, measured again: does the machine still measure as it did?",
        x=_time_axis(),
        y=Axis("capacity", unit="req/s", zero=True),
        series=(Series("vLLM's defaults", Tone.DEFAULTS, points, line="straight"),),
        height=200,
    )


def _again(material: Material, trial: Trial, launch: Launch) -> Point:
    capacity = launch.capacity
    assert capacity is not None  # noqa: S101  # the caller chose those that have one
    low, high = bounds(capacity)
    return Point(
        x=material.moment(launch.started_at),
        y=capacity.rps,
        y_low=low,
        y_high=high,
        open_ended=high is None,
        label=(f"launch {launch.attempt} ({launch.purpose})", capacity_text(capacity)),
        trial=trial.number,
    )


def _machine(material: Material) -> Iterator[Plot]:
    """Yield a chart for everything that was read: clock, power and temperature of GPUs, CPUs where there are none."""
    yield from _reading(material, "clock", "GPU clock", "MHz", lambda reading: reading.sm_clock_mhz)
    yield from _reading(material, "power", "GPU power", "W", lambda reading: reading.power_w)
    yield from _reading(material, "temperature", "GPU temperature", "°C", lambda reading: reading.temperature_c)
    if all(reading.gpu is None for reading in material.readings):
        yield from _reading(
            material, "cpu", "CPU, all cores", "%", lambda r: None if r.cpu_share is None else r.cpu_share * 100
        )


def _reading(
    material: Material, name: str, title: str, unit: str, value_of: Callable[[Reading], float | None]
) -> Iterator[Plot]:
    gpus = sorted({reading.gpu for reading in material.readings}, key=lambda gpu: -1 if gpu is None else gpu)
    series: list[Series] = []
    for number, gpu in enumerate(gpus):
        label = title if gpu is None else f"GPU {gpu}"
        points = tuple(
            Point(material.moment(reading.moment), value, (f"{label}: {value:.0f} {unit}",))
            for reading in material.readings
            if reading.gpu == gpu and (value := value_of(reading)) is not None
        )
        if points:
            series.append(Series(label, SERIES_TONES[number % len(SERIES_TONES)], points, "straight", "none"))
    if series:
        yield Plot(
            f"machine-{name}", title, _time_axis(), Axis(title, unit=unit, zero=unit == "%"), tuple(series), height=170
        )


def _table(material: Material, launches: Sequence[tuple[Trial, Launch]]) -> Table:
    rows = tuple(
        (
            clock_text(launch.started_at, material.zone),
            trial_title(trial),
            str(launch.purpose),
            duration_text(launch.ready_after),
            duration_text((launch.ended_at - launch.started_at).total_seconds() if launch.ended_at else None),
            capacity_text(launch.capacity),
            str(launch.failure.kind) if launch.failure else "",
        )
        for trial, launch in sorted(launches, key=lambda pair: pair[1].started_at)
    )
    return Table(("began", "trial", "purpose", "ready after", "took", "capacity", "failed"), rows)
