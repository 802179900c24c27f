"""A latency histogram in Unicode bars. Pure.

Bins have round bounds, so that they can be read: of equal width (1, 2 or 5 times a power of ten) where the values lie
within one order of magnitude, else growing with the values (1, 2, 5, 10, 20, …), so that a long tail takes few lines
and the bulk still has several. Empty bins between full ones are shown: a gap is a finding.
"""

import bisect
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tuner.domain.units import format_ms

_STEPS = (1.0, 2.0, 5.0)
_MOST_BINS = 12
_WIDE = 10.0
"""Largest over smallest value from which bins grow."""
_SMALLEST_S = 1e-4
"""What is shorter shares the first bin, which then begins at zero."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def histogram_lines(title: str, seconds: Iterable[float], *, width: int = 40) -> list[str]:
    """Return a histogram, a line for each bin after its title; nothing without a value.

    Args:
        title: what was measured.
        seconds: its values; NaN is left out.
        width: columns of the longest bar.
    """
    values = sorted(value for value in seconds if not math.isnan(value))
    if not values:
        return []
    edges = bin_edges(values[0], values[-1])
    counts = count_within(values, edges)
    labels = [f"{format_ms(low)} – {format_ms(high)}" for low, high in pairwise(edges)]
    room, digits = max(map(len, labels)), len(str(max(counts)))
    heads = (f"  {label:>{room}}  {count:>{digits}} " for label, count in zip(labels, counts, strict=True))
    bars = (bar(count / max(counts), width) for count in counts)
    return [title, *((head + body).rstrip() for head, body in zip(heads, bars, strict=True))]


def bin_edges(smallest: float, largest: float) -> list[float]:
    """Return bounds of at most a dozen bins that hold every value: round numbers, ascending, two at the least."""
    low, high = max(smallest, _SMALLEST_S), max(largest, _SMALLEST_S)
    edges = _growing(low, high) if high / low > _WIDE else _even(low, high)
    return edges if smallest >= edges[0] else [0.0, *edges[1:]]


def count_within(ascending: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Return how many values each bin holds: its lower bound included, its upper one not; the last takes the rest."""
    below = [bisect.bisect_left(ascending, edge) for edge in edges[1:-1]]
    bounds = [0, *below, len(ascending)]
    return [high - low for low, high in pairwise(bounds)]


def bar(share: float, width: int) -> str:
    """Return a bar of eighths of a column; what is there is never invisible."""
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def _even(smallest: float, largest: float) -> list[float]:
    """Return equally wide bins, as many as fit."""
    step = _round_up(max((largest - smallest) / (_MOST_BINS - 2), smallest / 100))
    first, last = math.floor(smallest / step), math.floor(largest / step) + 1
    return [_clean(number * step) for number in range(first, last + 1)]


def _growing(smallest: float, largest: float) -> list[float]:
    """Return bins by 1, 2, 5; over many orders of magnitude by powers of ten."""
    low, high = math.floor(math.log10(smallest)), math.floor(math.log10(largest)) + 1
    steps = _STEPS if (high - low) * len(_STEPS) <= _MOST_BINS + 2 * (len(_STEPS) - 1) else _STEPS[:1]
    edges = [_clean(step * 10.0**power) for power in range(low, high + 1) for step in steps]
    first = max(bisect.bisect_right(edges, smallest) - 1, 0)
    return edges[first : bisect.bisect_right(edges, largest) + 1]


def _round_up(value: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not below the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(_clean(step * power) for step in (*_STEPS, 10.0) if step * power >= value * (1 - 1e-9))


def _clean(value: float) -> float:
    """Return a bound without the dust of binary fractions."""
    return float(f"{value:.12g}")
