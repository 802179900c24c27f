"""Simulated studies whose truth is known: what a tuner measures of configurations with given capacities and latencies.

A launch is off from its configuration by a factor, an estimate from its launch by another one. Either both are drawn
(log-normal), or the estimates are those of the real capacity search on a simulated queue, scaled to the capacity.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tests.fakes.builders import make_point, make_trial
from tuner.analysis.confirmation import finalists
from tuner.analysis.contender import Contender
from tuner.analysis.normal import Z90
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import parse_slo
from tuner.domain.trial import TrialRole

SLOS = (parse_slo("ttft_p95=500ms"),)
FAR, NEAR = 1000.0, 1.0
"""Target rates: nothing sustains the one, so that capacities decide; everything the other, so that latencies do."""
HEADROOM = 2.0
RPS = 10.0
"""Capacity of a configuration whose logarithm is 0, in requests per second."""


@dataclass(frozen=True, slots=True)
class Noise:
    """How far measurements are off, as standard deviations of logarithms."""

    estimate: float = 0.03
    """0.03 makes 90 % intervals of ±5 %."""
    launch: float = 0.02
    latency: float = 0.1
    searched: tuple[Capacity, ...] = ()
    """Capacities that real searches found where the truth is 1: drawn from, in place of `estimate`."""


@dataclass(slots=True)
class Night:
    """A study whose truth is known."""

    truth: Sequence[float]
    """Logarithms of capacities over `RPS`, the defaults first."""
    noise: Noise
    draw: np.random.Generator
    changed: Sequence[int] = ()
    """How many flags each changes."""
    shares: Sequence[float] = ()
    """Logarithms of TTFT p95 over 100 ms; all alike where empty."""
    contenders: list[Contender] = field(default_factory=list["Contender"])

    def measure(self) -> list[Contender]:
        """Measure every configuration by one launch."""
        self.contenders = [self._contender(number) for number in range(len(self.truth))]
        return self.contenders

    def confirm(self, target_rps: float, repeats: int, most: int = 3) -> list[Contender]:
        """Launch the finalists and the defaults again."""
        again = {0, *finalists(self.contenders, target_rps, HEADROOM, SLOS, most)}
        self.contenders = [
            self._repeated(one, repeats) if one.trial.number in again else one for one in self.contenders
        ]
        return self.contenders

    def _contender(self, number: int) -> Contender:
        count = self.changed[number] if self.changed else min(number, 1)
        flags = {f"flag-{place}": number for place in range(count)}
        role = TrialRole.SAMPLED if number else TrialRole.BASELINE
        capacity, points = self._launched(number)
        return Contender(make_trial(number, flags=flags, role=role, points=points), capacity, points)

    def _repeated(self, one: Contender, repeats: int) -> Contender:
        launched = [self._launched(one.trial.number) for _ in range(repeats)]
        return replace(
            one,
            repeats=tuple(capacity for capacity, _ in launched),
            repeated_points=tuple(points for _, points in launched),
        )

    def _launched(self, number: int) -> tuple[Capacity, tuple[LoadPoint, ...]]:
        truth = self.truth[number] + self.draw.normal(0, self.noise.launch)
        share = (self.shares[number] if self.shares else 0.0) + self.draw.normal(0, self.noise.latency)
        point = make_point(NEAR, ttft=0.1 * math.exp(share))
        return self._capacity(RPS * math.exp(truth)), (point,)

    def _capacity(self, truth: float) -> Capacity:
        if self.noise.searched:
            found = self.noise.searched[int(self.draw.integers(len(self.noise.searched)))]
            upper = None if found.upper_rps is None else found.upper_rps * truth
            return Capacity(rps=found.rps * truth, lower_rps=found.lower_rps * truth, upper_rps=upper)
        rps = truth * math.exp(self.draw.normal(0, self.noise.estimate))
        away = math.exp(Z90 * self.noise.estimate)
        return Capacity(rps=rps, lower_rps=rps / away, upper_rps=rps * away, limited_by="ttft_p95")
