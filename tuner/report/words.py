"""Owns how figures, configurations and times are written on the page. Pure text."""

import shlex
from datetime import datetime, tzinfo

from tuner.domain.flags import Flags, format_value
from tuner.domain.measurement import Capacity
from tuner.domain.slo import SLO_NAMES, Slo
from tuner.domain.study import CAPACITY
from tuner.domain.trial import Trial, TrialRole, TrialState
from tuner.domain.units import bounds_text, format_ms

NOTHING = "–"
_NAMES = {
    CAPACITY: "capacity",
    "goodput_rps": "goodput at the target",
    "output_tokens_per_s": "output tokens at the target",
    "achieved_rps": "completed at the target",
    "users_mean": "requests in flight",
}
_UNITS = {CAPACITY: "req/s", "goodput_rps": "req/s", "output_tokens_per_s": "tok/s", "achieved_rps": "req/s"}


def figure_name(name: str) -> str:
    """Return a figure's name for people: `TTFT p95`, `capacity`."""
    if name in SLO_NAMES:
        latency, _, percentile = name.partition("_")
        return f"{latency.upper()} {percentile}"
    return _NAMES.get(name, name)


def slo_text(slo: Slo) -> str:
    """Return an SLO for people: `TTFT p95 ≤ 500 ms`."""
    return f"{figure_name(slo.name)} ≤ {format_ms(slo.limit)}"


def figure_unit(name: str) -> str:
    """Return a figure's unit as a chart shows it: latencies in milliseconds."""
    return "ms" if name in SLO_NAMES else _UNITS.get(name, "")


def is_maximised(name: str) -> bool:
    """Return whether more of a figure is better."""
    return name not in SLO_NAMES and name != "users_mean"


def figure_shown(name: str, value: float) -> float:
    """Return a figure in the unit that a chart shows it in."""
    return value * 1e3 if name in SLO_NAMES else value


def figure_text(name: str, value: float | None) -> str:
    """Return a figure with its unit, a dash where it is unknown."""
    if value is None:
        return NOTHING
    return format_ms(value) if name in SLO_NAMES else f"{value:.3g} {figure_unit(name)}".strip()


def latency_text(seconds: float | None) -> str:
    """Return a latency, a dash where it is unknown."""
    return NOTHING if seconds is None else format_ms(seconds)


def capacity_text(capacity: Capacity | None) -> str:
    """Return a capacity with its interval, a dash where there is none."""
    return NOTHING if capacity is None else bounds_text(capacity.rps, capacity.lower_rps, capacity.upper_rps)


def value_text(value: float | str | bool) -> str:  # a flag's value
    """Return a flag's value: floats with four significant digits."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.4g}" if isinstance(value, float) else format_value(value)


def flag_lines(flags: Flags) -> tuple[str, ...]:
    """Return a configuration, one flag a line."""
    return tuple(f"{name} {value_text(value)}" for name, value in flags.items()) or ("vLLM's defaults",)


def flags_text(flags: Flags) -> str:
    """Return a configuration in one line."""
    return ", ".join(flag_lines(flags))


def trial_title(trial: Trial) -> str:
    """Return what a trial is called: `trial 7`, `vLLM's defaults (trial 0)`."""
    if trial.role is TrialRole.BASELINE:
        return f"vLLM's defaults (trial {trial.number})"
    return f"candidate (trial {trial.number})" if trial.role is TrialRole.CANDIDATE else f"trial {trial.number}"


def outcome_text(trial: Trial) -> str:
    """Return what became of a trial."""
    if trial.state is TrialState.DUPLICATE:
        return f"same as trial {trial.duplicate_of}"
    return f"{trial.state}: {trial.failure.kind}" if trial.failure else str(trial.state)


def duration_text(seconds: float | None) -> str:
    """Return a duration: `42 s`, `3 min 20 s`, `7 h 05 min`."""
    if seconds is None:
        return NOTHING
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def moment_text(moment: datetime, zone: tzinfo) -> str:
    """Return a moment by its date and minute."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def clock_text(moment: datetime, zone: tzinfo) -> str:
    """Return a moment as time of day."""
    return moment.astimezone(zone).strftime("%H:%M:%S")


def counted(count: int, noun: str) -> str:
    """Return `1 trial`, `3 trials`."""
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"


def command_lines(command: str) -> str:
    """Return a command line with one flag a line, which a shell reads back as the same words."""
    words = [shlex.quote(word) for word in shlex.split(command)]
    start = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    program = [" ".join(words[:start])] if start else []
    return " \\\n  ".join([*program, *words[start:]])
