"""Owns the question when a load point can't meet an SLO any more, so that the rest of it would only cost time.

A percentile of n values lies above the limit for certain once enough of them do, whatever the others are: for the p95
of 100, interpolated linearly as numpy and vLLM do it, that is six. A mean has no such point, and neither has ITL, whose
number of gaps is not known beforehand.
"""

import math
from collections.abc import Sequence

from tuner.domain.load import GiveUp
from tuner.domain.slo import Latency, Slo
from tuner.metrics.distributions import QUANTILES


def certainly_broken(quantile: float, requests: int) -> int:
    """Return how many of so many values must exceed a limit for their percentile to exceed it, whatever they are.

    The percentile lies between the sorted values number floor(h) and floor(h) + 1, h = quantile * (requests - 1),
    counted from 0. It exceeds the limit for certain when the lower of the two does.
    """
    return requests - math.floor(quantile * (requests - 1) + 1e-9)


def give_up(slos: Sequence[Slo], requests: int, *, margin: float = 1.0) -> tuple[GiveUp, ...]:
    """Return when a load point of so many requests is hopeless; with a margin, so many times as hopeless."""
    return tuple(
        GiveUp(latency=slo.latency, limit=slo.limit, requests=min(needed, requests))
        for slo in slos
        if slo.percentile in QUANTILES and slo.latency is not Latency.ITL
        for needed in [math.ceil(margin * certainly_broken(QUANTILES[slo.percentile], requests))]
    )
