"""Figures and configurations as short text. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tuner.domain.flags import Flags, format_value
from tuner.domain.overview import Overview
from tuner.domain.trial import Purpose, Trial, TrialRole, TrialState
from tuner.domain.units import bounds_text, format_ms

if TYPE_CHECKING:
    from tuner.domain.measurement import Capacity

NOTHING = "–"
THROTTLED = "GPU throttled"
"""The mark of what a hot card measured."""


def flags_text(flags: Flags) -> str:
    """Return a configuration in one line; vLLM's defaults where nothing is changed."""
    if not flags:
        return "vLLM's defaults"
    return ", ".join(
        f"{name} {format_value(value).lower() if isinstance(value, bool) else shorter(value)}"
        for name, value in flags.items()
    )


def shorter(value: float | str) -> str:
    """Return a flag's value for people: floats with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def latency_text(seconds: float | None) -> str:
    """Return a latency, a dash where it is unknown."""
    return NOTHING if seconds is None else format_ms(seconds)


def milliseconds_text(milliseconds: float | None) -> str:
    """Return a latency given in milliseconds, a dash where it is unknown."""
    return NOTHING if milliseconds is None else format_ms(milliseconds / 1e3)


def figure_text(value: float | None, spec: str, unit: str = "") -> str:
    """Return a figure by its format and unit, a dash where it is unknown."""
    return NOTHING if value is None else f"{value:{spec}}{unit}"


def capacity_text(capacity: "Capacity | None") -> str:
    """Return a capacity: `6.1 req/s (5.8–6.4)`, `≥ 8 req/s` where no rate broke, `< 2 req/s` where the lowest did."""
    if capacity is None:
        return NOTHING
    return bounds_text(capacity.rps, capacity.lower_rps, capacity.upper_rps)


def role_text(role: TrialRole) -> str:
    """Return where a configuration came from, in a word."""
    return {TrialRole.BASELINE: "defaults", TrialRole.WARM_START: "warm start"}.get(role, role.value)


def purpose_text(purpose: Purpose) -> str:
    """Return why a measured configuration is launched again, in a few words."""
    words = {Purpose.DRIFT: "has the machine drifted?", Purpose.CONFIRM: "to confirm", Purpose.REFINE: "what is open"}
    return words.get(purpose, purpose.value)


def outcome_text(trial: Trial | Overview) -> str:
    """Return what became of a trial, in a few words."""
    if trial.state is TrialState.DUPLICATE:
        return f"same as trial {trial.duplicate_of}"
    if trial.failure_kind is not None and trial.state is not TrialState.INTERRUPTED:
        return f"{trial.state}: {trial.failure_kind}"
    return str(trial.state)


def duration_text(seconds: float) -> str:
    """Return a duration: `42 s`, `3 min 20 s`, `7 h 05 min`."""
    whole = round(max(seconds, 0))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def clock_text(moment: datetime) -> str:
    """Return a moment as local time of day."""
    return moment.astimezone().strftime("%H:%M:%S")


def joined_numbers(numbers: Sequence[int]) -> str:
    """Return numbers as people list them: `3`, `3 and 4`, `3, 4 and 7`."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def date_text(moment: datetime) -> str:
    """Return a moment as local date and time."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def plural(count: int, noun: str) -> str:
    """Return `1 trial`, `3 trials`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def joined(parts: Sequence[str]) -> str:
    """Return the parts that are not empty, separated by middle dots."""
    return " · ".join(part for part in parts if part)
