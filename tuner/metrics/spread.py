"""Owns how sure a percentile of one load point is: an interval from its own requests, dependence between them counted.

A percentile is the value whose share of smaller ones is right, so its interval is the values at that share plus and
minus its standard error (Woodruff 1952). Requests that met the same queue fare alike, so the share's variance is the
long-run one (`tuner.metrics.correlation`), and at least that of independent requests. Judges nothing.
"""

import numpy as np
from numpy.typing import NDArray

from tuner.domain.slo import Percentile
from tuner.metrics.correlation import long_run
from tuner.metrics.distributions import NEEDED, QUANTILES

_Z = 1.645
"""The normal distribution's 95 % quantile: intervals of 90 %."""


def statistic_interval(values: NDArray[np.float64], percentile: Percentile) -> tuple[float, float] | None:
    """Return the 90 % interval of a statistic, None where the sample supports none.

    Args:
        values: seconds in order of arrival, shape (requests,); NaN is left out.
        percentile: which statistic.
    """
    known = values[~np.isnan(values)]
    if known.size < max(NEEDED[percentile], 2):
        return None
    if percentile is Percentile.MEAN:
        error = _Z * np.sqrt(max(long_run([known]).variance, float(known.var())) / known.size)
        return float(known.mean() - error), float(known.mean() + error)
    share = QUANTILES[percentile]
    below = (known <= np.quantile(known, share)).astype(np.float64)
    variance = max(long_run([below]).variance, share * (1 - share))
    error = _Z * np.sqrt(variance / known.size)
    low, high = np.quantile(known, np.clip([share - error, share + error], 0.0, 1.0))
    return float(low), float(high)
