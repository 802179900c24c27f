"""Owns the chart beside the answer: the capacity of the best configuration and of the others, with intervals."""

from collections.abc import Iterator

from tuner.domain.measurement import Capacity
from tuner.domain.trial import Purpose, Trial
from tuner.report.chart import Axis, Limit, Plot, Point, Series, Table, Tone
from tuner.report.material import Material, compared
from tuner.report.words import capacity_text, flags_text, trial_title

_NAMES = {
    Tone.BEST: "the answer",
    Tone.DEFAULTS: "vLLM's defaults",
    Tone.CANDIDATE: "your candidates",
    Tone.TIE: "within noise of the answer",
    Tone.FRONT: "on the front",
}


def capacity_chart(material: Material) -> Plot | None:
    """Return the capacities of what is compared, None where nothing was measured."""
    trials = compared(material)
    if not trials:
        return None
    series = [
        Series(name, tone, tuple(_point(material, trial) for trial in trials if material.tone(trial) is tone))
        for tone, name in _NAMES.items()
    ]
    again = tuple(point for trial in trials for point in _again(trial))
    repeats = [Series("measured again", Tone.CONFIRM, again)] if again else []
    return Plot(
        id="capacity",
        title="Capacity under the SLOs, with 90 % intervals",
        x=Axis("requests per second", unit="req/s", zero=True),
        y=Axis("", scale="category", categories=tuple(map(row_name, trials))),
        series=(*(each for each in series if each.points), *repeats),
        limits=tuple(_limits(material)),
        height=76 + 46 * len(trials),
    )


def capacity_table(material: Material) -> Table:
    """Return the same in figures."""
    rows = (
        (trial_title(trial), flags_text(trial.flags), capacity_text(capacity), capacity.limited_by or "nothing broke")
        for trial in compared(material)
        for capacity in (material.judged[trial.number].capacity,)
    )
    return Table(("configuration", "flags", "capacity (90 % interval)", "limited by"), tuple(rows))


def row_name(trial: Trial) -> str:
    """Return a trial's row."""
    return {"baseline": f"defaults · {trial.number}", "candidate": f"candidate · {trial.number}"}.get(
        trial.role, f"trial {trial.number}"
    )


def bounds(capacity: Capacity) -> tuple[float, float | None]:
    """Return a capacity's interval for a chart, the upper end None where no rate broke."""
    return min(capacity.lower_rps, capacity.rps), capacity.upper_rps


def _point(material: Material, trial: Trial) -> Point:
    capacity = material.judged[trial.number].capacity
    low, high = bounds(capacity)
    return Point(
        x=capacity.rps,
        y=row_name(trial),
        x_low=low,
        x_high=high,
        open_ended=high is None,
        trial=trial.number,
        label=(trial_title(trial), capacity_text(capacity)),
    )


def _again(trial: Trial) -> Iterator[Point]:
    for launch in trial.launches_for(Purpose.CONFIRM):
        if launch.capacity is not None:
            said = (f"{trial_title(trial)}, launch {launch.attempt}", capacity_text(launch.capacity))
            yield Point(launch.capacity.rps, row_name(trial), said, trial.number, hollow=True)


def _limits(material: Material) -> Iterator[Limit]:
    target, headroom = material.target_rps, material.headroom
    yield Limit("x", target, f"target {target:g}", "target")
    if headroom > 1:
        yield Limit("x", target * headroom, f"{headroom:g}× target", "target")
