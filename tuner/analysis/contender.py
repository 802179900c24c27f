"""A measured trial as it stands for a choice, judged by the SLOs that were asked for. Chooses nothing. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from tuner.analysis.figures import point_at
from tuner.analysis.undecided import Undecided
from tuner.domain.measurement import Capacity, Distribution, LoadPoint
from tuner.domain.overview import AtRate
from tuner.domain.slo import Latency, Percentile, Slo
from tuner.domain.trial import Trial, TrialRole


@dataclass(frozen=True, slots=True)
class Contender:
    """A measured trial, judged by the SLOs that were asked for."""

    trial: Trial
    capacity: Capacity
    points: tuple[LoadPoint, ...]
    """Its load points, with summaries judged by these SLOs."""
    undecided: Undecided | None = None
    """What the measured rates leave open of its capacity under SLOs that they were not chosen for."""
    repeats: tuple[Capacity, ...] = ()
    """What launches that confirm found of the same configuration, under the same SLOs."""
    repeated_points: tuple[tuple[LoadPoint, ...], ...] = ()
    """The load points of those launches."""
    glimpsed: AtRate | None = None
    """What speaks for the target rate, where the load points themselves were not read; see `use_names`."""

    @property
    def is_baseline(self) -> bool:
        """Whether it is vLLM's defaults."""
        return self.trial.role is TrialRole.BASELINE


def baseline_of(contenders: Iterable[Contender]) -> Contender | None:
    """Return the one that is vLLM's defaults, None where they were not measured."""
    return next((one for one in contenders if one.is_baseline), None)


@dataclass(frozen=True, slots=True)
class Use:
    """How much of its tightest SLO's limit a load point uses."""

    slo: Slo
    seconds: float
    sample: Distribution
    """What the statistic is of."""
    rate: float | None
    """Offered requests per second."""

    @property
    def share(self) -> float:
        """The statistic over the limit: 0.8 is 80 %."""
        return self.seconds / self.slo.limit


def tightest(points: Sequence[LoadPoint], rate: float, slos: Sequence[Slo]) -> Use | None:
    """Return what the load point that speaks for a rate uses of its tightest limit; None where a figure is missing."""
    point = point_at(points, rate)
    if point is None:
        return None
    latency = point.summary.latency
    uses = [(slo, latency(slo.latency).statistic(slo.percentile)) for slo in slos]
    return _tightest(uses, latency, point.arrivals.offered_rps)


def use_at(contender: Contender, rate: float, slos: Sequence[Slo]) -> Use | None:
    """Return what a contender uses of its tightest limit at a rate, by its own launch; None where a figure is missing.

    Of one that was only glimpsed at, the rate must be the one it was glimpsed at for.
    """
    glimpsed = contender.glimpsed
    if glimpsed is None:
        return tightest(contender.points, rate, slos)
    uses = [(slo, glimpsed.figures[slo.name]) for slo in slos]
    return _tightest(uses, lambda latency: _sample(glimpsed, latency), glimpsed.rate)


def use_names(slos: Sequence[Slo]) -> tuple[str, ...]:
    """Return the figures that `Contender.glimpsed` must hold: whole samples of what the SLOs limit."""
    latencies = dict.fromkeys(slo.latency for slo in slos)
    return tuple(f"{latency}_{statistic}" for latency in latencies for statistic in ("count", *Percentile))


def _sample(glimpsed: AtRate, latency: Latency) -> Distribution:
    known = {str(one): glimpsed.figures[f"{latency}_{one}"] for one in Percentile}
    return Distribution(count=int(glimpsed.figures[f"{latency}_count"] or 0), **known)


def _tightest(
    uses: Sequence[tuple[Slo, float | None]], sample_of: Callable[[Latency], Distribution], rate: float | None
) -> Use | None:
    known = [(seconds / slo.limit, slo, seconds) for slo, seconds in uses if seconds is not None]
    if not known or len(known) < len(uses):
        return None
    _, slo, seconds = max(known, key=itemgetter(0))
    return Use(slo, seconds, sample_of(slo.latency), rate)


def limit_share(contender: Contender, rate: float, slos: Sequence[Slo]) -> float:
    """Return the largest share of an SLO's limit in use at a rate: 0.8 is 80 % of the tightest limit.

    Infinity where a figure is missing.
    """
    use = use_at(contender, rate, slos)
    return math.inf if use is None else use.share
