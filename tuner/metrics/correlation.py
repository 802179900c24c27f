"""Owns the question how much a series of dependent requests is worth. Knows no latency and no limit.

Requests that meet the same queue fare alike, so the mean of n of them varies more than that of n independent ones, in a
queue near its limit 10 to 100 times as much. The long-run variance says by how much: n times the variance of the mean
of a long series. It is estimated by overlapping batch means (Meketon and Schmeiser 1984), pooled over several series;
each is centred on its own mean, which hides what is common to all of it, and the estimate is corrected for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

_BATCHES = 16
"""Batches in all the series together. Fewer would be surer to outlast the correlation, more would be more precise."""
_FEWEST_IN_ONE = 2
"""A series that holds fewer batches than this adds nothing: its own mean would hide too much."""
_OVERLAPPING_GAIN = 1.5
"""Overlapping batch means have this many times the degrees of freedom of batches laid side by side."""


@dataclass(frozen=True, slots=True)
class LongRun:
    """An estimate of a long-run variance."""

    variance: float
    freedom: float
    """Degrees of freedom: how much the estimate itself is worth."""


def long_run(series: Sequence[Series]) -> LongRun:
    """Return the pooled long-run variance of series of one kind, each of shape (requests,)."""
    batch = _batch_length(series)
    squares, windows, batches = 0.0, 0.0, 0.0
    for one in series:
        if one.size >= _FEWEST_IN_ONE * batch:
            sums = np.cumsum(np.concatenate([[0.0], one - one.mean()]))
            totals = sums[batch:] - sums[:-batch]
            squares += float(totals @ totals) / batch
            windows += totals.size * (1 - batch / one.size)
            batches += one.size / batch - 1
    return LongRun(squares / windows, _OVERLAPPING_GAIN * batches) if windows else LongRun(0.0, 0.0)


def _batch_length(series: Sequence[Series]) -> int:
    """Return a sixteenth of all that there is, and at the most half of the longest series."""
    sizes = [one.size for one in series]
    return max(1, min(sum(sizes) // _BATCHES, max(sizes, default=0) // _FEWEST_IN_ONE))
