"""How far a measured figure may be off: by what one launch tells, and from launch to launch. Pure.

Figures are compared as logarithms: a capacity or a latency is off by a factor, and factors of independent causes
multiply. Two variances add up: that of the estimate within its launch (a capacity's interval tells it; a percentile's
comes from its sample), and that between launches of one configuration, which no single launch can show.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tuner.analysis.assumed import BETWEEN_LAUNCHES, LATENCY_BETWEEN_LAUNCHES
from tuner.analysis.contender import Contender, Use, tightest
from tuner.analysis.normal import Z90
from tuner.domain.measurement import Capacity, Distribution
from tuner.domain.slo import Percentile, Slo
from tuner.domain.trial import Purpose

_ASSUMED_FREEDOM = 2
"""The assumption weighs as much as three launches of one configuration (a moderated variance, Smyth 2004)."""
_CORRELATION = 4.0
"""Requests that queue together fare alike: up to half of the capacity n of them are worth about n / 4. The real vLLM
showed 1 to 3, queues for fixed slots that were simulated 8 to 11."""
_SHARES = {Percentile.P50: 0.5, Percentile.P90: 0.9, Percentile.P95: 0.95, Percentile.P99: 0.99}
_NOTHING = 1e-9
"""Stands for a figure of zero where its logarithm is needed."""
_UNKNOWN = 0.25
"""Standard deviation of a logarithm of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure as a logarithm."""

    log: float
    variance: float
    is_open: bool = False
    """The truth may be any higher: no measured rate broke."""
    held: bool = True
    """Some rate held. Where none did, `log` is that of the lowest that broke: the truth is below it."""


def of_capacity(capacity: Capacity) -> Figure:
    """Return a capacity as a figure: its 90 % interval spans 2 × 1.645 standard deviations of the logarithm.

    Of an interval that is open at the top the lower half tells.
    """
    if capacity.rps <= 0:
        upper = capacity.upper_rps
        return Figure(math.log(upper or _NOTHING), 0.0, is_open=upper is None, held=False)
    ends = [end for end in (capacity.lower_rps, capacity.upper_rps) if end]
    away = [abs(math.log(end / capacity.rps)) for end in ends]
    deviation = sum(away) / len(away) / Z90 if away else _UNKNOWN
    return Figure(math.log(capacity.rps), deviation**2, is_open=capacity.upper_rps is None)


def of_use(use: Use) -> Figure:
    """Return the share of a limit in use as a figure."""
    error = percentile_error(use.sample, use.slo.percentile) / max(use.seconds, _NOTHING)
    return Figure(math.log(max(use.share, _NOTHING)), error**2)


def percentile_error(sample: Distribution, percentile: Percentile) -> float:
    """Return the standard error of a percentile in the unit of the sample, from its size and its other percentiles.

    The root of p (1 - p) / n over the density at the percentile (Mosteller 1946). The tail is taken for exponential, so
    that its scale follows from two percentiles, and the widest pair counts: it may be steady below, and jump beyond.
    """
    size = max(sample.count, 1) / _CORRELATION
    known = [(share, value) for name, share in _SHARES.items() if (value := sample.statistic(name)) is not None]
    scales = [(upper - lower) / math.log((1 - low) / (1 - high)) for (low, lower), (high, upper) in pairwise(known)]
    if not scales:
        return _UNKNOWN * (sample.statistic(percentile) or 0.0)
    if percentile is Percentile.MEAN:
        return max(scales) / math.sqrt(size)
    at = _SHARES[percentile]
    return max(scales) * math.sqrt(at / (1 - at) / size)


@dataclass(frozen=True, slots=True)
class Spread:
    """The variance between launches of one configuration, of a logarithm."""

    variance: float
    freedom: int = 0
    """Degrees of freedom that repeated launches gave it; 0 for a mere assumption."""

    @property
    def doubt(self) -> float:
        """By what factor variances count for more because this one is an estimate: the variance of Student's t."""
        return 1 + _ASSUMED_FREEDOM / self.freedom if self.freedom else 1.0


def between_launches(groups: Iterable[Sequence[Figure]], assumed: float) -> Spread:
    """Return how much launches of one configuration differ, pooled over configurations.

    What launches of one configuration differ by beyond what each of them tells by itself (Hedges and Olkin 1985), with
    an assumed standard deviation weighed in, so that a few repeats neither prove it zero nor large.

    Args:
        groups: For each configuration the figures of its launches.
        assumed: Standard deviation to start from.
    """
    excess, freedom = _ASSUMED_FREEDOM * assumed**2, 0
    for group in groups:
        known = [one for one in group if one.held and not one.is_open]
        if len(known) > 1:
            mean = sum(one.log for one in known) / len(known)
            spread = sum((one.log - mean) ** 2 for one in known)
            within = sum(one.variance for one in known) / len(known)
            excess += spread - (len(known) - 1) * within
            freedom += len(known) - 1
    return Spread(max(excess, 0.0) / (_ASSUMED_FREEDOM + freedom), freedom)


def pooled(figures: Sequence[Figure], launches: Spread) -> Figure:
    """Return what several launches say together: weighted by both variances (random effects, DerSimonian–Laird 1986).

    Args:
        figures: At least one.
        launches: How much launches differ.
    """
    if len(figures) == 1:
        one = figures[0]
        return Figure(one.log, (one.variance + launches.variance) * launches.doubt, one.is_open, one.held)
    weights = [1 / max(one.variance + launches.variance, 1e-12) for one in figures]
    total = sum(weights)
    mean = sum(weight * one.log for weight, one in zip(weights, figures, strict=True)) / total
    return Figure(
        mean,
        launches.doubt / total,
        is_open=any(one.is_open for one in figures),
        held=2 * sum(one.held for one in figures) >= len(figures),
    )


@dataclass(frozen=True, slots=True)
class LaunchNoise:
    """How much launches of one configuration differ."""

    capacity: Spread
    latency: Spread


def launch_noise(contenders: Sequence[Contender], target_rps: float, slos: Sequence[Slo]) -> LaunchNoise:
    """Return how much launches differ, by every configuration that was launched again."""
    capacities = [[of_capacity(one) for one in each.repeats] for each in contenders if each.repeats]
    again = [each.repeated_points for each in contenders if each.repeated_points]
    uses = [[use for its in runs if (use := tightest(its, target_rps, slos))] for runs in again]
    unselected = [_checked(each) for each in contenders if each.is_baseline]
    return LaunchNoise(
        between_launches([*capacities, *unselected], BETWEEN_LAUNCHES),
        between_launches([[of_use(use) for use in its] for its in uses], LATENCY_BETWEEN_LAUNCHES),
    )


def _checked(baseline: Contender) -> list[Figure]:
    """Return the baseline's own launch and its drift checks: of others the first launch was chosen for being good."""
    wanted = {Purpose.MEASURE, Purpose.DRIFT}
    found = (one.capacity for one in baseline.trial.launches if one.purpose in wanted)
    return [of_capacity(one) for one in found if one is not None]
