"""A measured trial as it stands for a choice, judged by the SLOs that were asked for. Chooses nothing. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tuner.analysis.figures import point_at
from tuner.analysis.undecided import Undecided
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import Slo
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
    point: LoadPoint

    @property
    def share(self) -> float:
        """The statistic over the limit: 0.8 is 80 %."""
        return self.seconds / self.slo.limit


def tightest(points: Sequence[LoadPoint], rate: float, slos: Sequence[Slo]) -> Use | None:
    """Return what the load point that speaks for a rate uses of its tightest limit; None where a figure is missing."""
    point = point_at(points, rate)
    if point is None:
        return None
    values = [(point.summary.latency(slo.latency).statistic(slo.percentile), slo) for slo in slos]
    uses = [Use(slo, value, point) for value, slo in values if value is not None]
    return max(uses, key=lambda use: use.share) if uses and len(uses) == len(values) else None


def limit_share(contender: Contender, rate: float, slos: Sequence[Slo]) -> float:
    """Return the largest share of an SLO's limit in use at a rate: 0.8 is 80 % of the tightest limit.

    Infinity where a figure is missing.
    """
    use = tightest(contender.points, rate, slos)
    return math.inf if use is None else use.share
