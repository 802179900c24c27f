"""Owns statistics of a sample, and how many values each of them needs. Knows no latency and no limit.

A percentile is only given where the sample can support it: one value for the median, ten for p90, twenty for p95 (so
that about one value lies above it), and 459 for p99. 459 is the smallest sample whose largest value exceeds the true
p99 with 99 % confidence (0.99**459 < 0.01): in a smaller one, even no value at all above a limit (zero excess) does
not prove the p99 below it.
"""

import numpy as np
from numpy.typing import NDArray

from tuner.domain.measurement import Distribution
from tuner.domain.slo import Percentile

NEEDED = {Percentile.MEAN: 1, Percentile.P50: 1, Percentile.P90: 10, Percentile.P95: 20, Percentile.P99: 459}
"""How many values a statistic needs."""

QUANTILES = {Percentile.P50: 0.5, Percentile.P90: 0.9, Percentile.P95: 0.95, Percentile.P99: 0.99}
"""The share of values at or below each percentile."""


def quantile(values: NDArray[np.float64], share: float) -> float:
    """Return `np.quantile(values, share)` of a sample without NaN, in a tenth of the time where it is small."""
    at = share * (values.size - 1)
    low = int(at)
    high = min(low + 1, values.size - 1)
    part = np.partition(values, (low, high))
    below, above, rest = float(part[low]), float(part[high]), at - low
    step = above - below
    return below + step * rest if rest < 0.5 else above - step * (1 - rest)  # noqa: PLR2004  # as numpy interpolates


def distribution(values: NDArray[np.float64]) -> Distribution:
    """Return the statistics of a sample, NaN left out; percentiles interpolate linearly, as vLLM's do."""
    known = values[~np.isnan(values)]
    count = known.size
    if count == 0:
        return Distribution(count=0)
    supported = [percentile for percentile in QUANTILES if count >= NEEDED[percentile]]
    found = np.quantile(known, [QUANTILES[percentile] for percentile in supported])
    named = {str(percentile): float(value) for percentile, value in zip(supported, found, strict=True)}
    return Distribution(count=count, mean=float(known.mean()), **named)
