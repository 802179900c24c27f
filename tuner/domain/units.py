"""Durations and counts as people write them."""

import math
import re
from typing import Any

_DURATION = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,15})?)\s*(?P<unit>ms|s|min|m|h)?")
DURATION_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^\s*[0-9]{1,15}(\.[0-9]{1,15})?\s*(ms|s|min|m|h)?\s*$"},
    ]
}
"""JSON Schema of a duration as a file may write it."""
_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str | float, *, default_unit: str) -> float:
    """Return seconds for `500ms`, `0.5s`, `2min`, `8h`, or a bare number in `default_unit`.

    Raises:
        ValueError: no such duration.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool) and math.isfinite(text) and text >= 0:
        return text * _SECONDS[default_unit]
    match = _DURATION.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write it like 500ms, 0.5s, 2min or 8h")
    return float(match["number"]) * _SECONDS[match["unit"] or default_unit]


def format_ms(seconds: float) -> str:
    """Return a latency for people: `7.3 ms`, `512 ms`, `2.10 s`."""
    milliseconds = seconds * 1e3
    if milliseconds >= 999.5:  # noqa: PLR2004  # from a second on, seconds read better
        return f"{seconds:.2f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 99.95 else f"{milliseconds:.1f} ms"  # noqa: PLR2004


def bounds_text(rps: float, lower_rps: float, upper_rps: float | None) -> str:
    """Return a capacity with its interval."""
    if upper_rps is None:
        return f"≥ {rps:.3g} req/s"
    return f"{rps:.3g} req/s ({lower_rps:.3g}–{upper_rps:.3g})" if rps > 0 else f"< {upper_rps:.3g} req/s"
