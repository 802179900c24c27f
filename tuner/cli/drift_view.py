"""What the baseline's later measurements say, in one line for people."""

import math

from tuner.analysis.drift import Check, Drift
from tuner.cli.text import date_text, joined_numbers


def drift_line(found: Drift | None) -> str:
    """Return what drifted and which trials are suspect for it; empty where nothing did, or nothing is known."""
    moved = [check for check in found.checks if check.moved] if found is not None else []
    if found is None or not moved:
        return ""
    worst = max(moved, key=_distance)
    trials = f"trial {joined_numbers(sorted(found.suspect))}" if found.suspect else "no trial"
    return (
        f"The machine drifted: vLLM's defaults, measured again {date_text(worst.at)}, {_by_how_much(worst)} at first. "
        f"Suspect, for being measured next to that: {trials}. `tuner confirm` measures the best again, side by side."
    )


def _distance(check: Check) -> float:
    return math.inf if check.ratio is None else abs(math.log(check.ratio))


def _by_how_much(check: Check) -> str:
    if check.ratio is None:
        return "sustained less than" if check.z < 0 else "sustained more than"
    return f"sustained {abs(check.ratio - 1):.0%} {'less' if check.ratio < 1 else 'more'} than"
