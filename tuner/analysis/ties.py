"""Which contenders are told apart, and which of those that are not is named. Pure.

Where several sustain what is wanted, the latency at the target rate decides, and its noise counts; where none does, the
capacity. The leader is whichever measured best, so a comparison with it is one that the data chose: two contenders are
told apart only where all pairs would be right together with 95 % confidence (Tukey's range for unequal variances).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.analysis.contender import Contender, tightest, use_at
from tuner.analysis.noise import Figure, Spread, launch_noise, of_capacity, of_use, pooled
from tuner.analysis.normal import apart
from tuner.domain.slo import Slo

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_CONFIDENCE = 0.95
_HALVED = 1 - (1 - _CONFIDENCE) / 2
"""Where there are two ways to lose, either is tested at half of the error."""
_ROUNDING = 1e-9
_SIMPLER = 1.0
"""Named is the simplest within one standard error of the leader (Breiman and others 1984). Among all that can't be told
apart it would be worse by several percent, the more of them there are (`scripts/bench-answer rules`)."""
_NO_FIGURE = Figure(math.inf, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Standings:
    """The figures of contenders side by side; arrays of shape (contenders,)."""

    log: Floats
    """Logarithms of capacities."""
    variance: Floats
    is_open: Flags
    held: Flags
    share: Floats
    """Logarithms of the tightest limit's share in use at the target rate; infinity where unknown, or of no matter."""
    share_variance: Floats
    changed: NDArray[np.int64]
    """How many flags are changed."""
    number: NDArray[np.int64]
    """Trial numbers."""
    needed: float
    """Logarithm of the rate to sustain."""

    @property
    def size(self) -> int:
        """How many contenders there are."""
        return self.log.size

    @property
    def sustaining(self) -> Flags:
        """Which sustain what is wanted, by their estimates."""
        return self.held & (self.log >= self.needed - _ROUNDING)

    def only(self, chosen: Sequence[int]) -> "Standings":
        """Return the standings of some, by place."""
        at = list(chosen)
        return Standings(
            self.log[at], self.variance[at], self.is_open[at], self.held[at], self.share[at], self.share_variance[at],
            self.changed[at], self.number[at], self.needed,
        )  # fmt: skip


def standings(contenders: Sequence[Contender], target_rps: float, headroom: float, slos: Sequence[Slo]) -> Standings:
    """Return the standings of contenders: those that were launched again by these launches alone.

    Latencies are only looked up where they can decide: of what may sustain what is wanted.
    """
    noise = launch_noise(contenders, target_rps, slos)
    capacities = [_capacity(one, noise.capacity) for one in contenders]
    size = len(contenders)
    found = Standings(
        log=np.array([one.log for one in capacities]),
        variance=np.array([one.variance for one in capacities]),
        is_open=np.array([one.is_open for one in capacities]),
        held=np.array([one.held for one in capacities]),
        share=np.full(size, math.inf),
        share_variance=np.zeros(size),
        changed=np.array([len(one.trial.flags) for one in contenders]),
        number=np.array([one.trial.number for one in contenders]),
        needed=math.log(target_rps * headroom),
    )
    if found.sustaining.any():
        reach = apart(size, _HALVED) * np.sqrt(found.variance)
        for place in np.flatnonzero(found.is_open | (found.log + reach >= found.needed - _ROUNDING)).tolist():
            share = _share(contenders[place], target_rps, slos, noise.latency)
            found.share[place], found.share_variance[place] = share.log, share.variance
    return found


def _capacity(contender: Contender, launches: Spread) -> Figure:
    return pooled([of_capacity(found) for found in contender.repeats or (contender.capacity,)], launches)


def _share(contender: Contender, target_rps: float, slos: Sequence[Slo], launches: Spread) -> Figure:
    runs = [tightest(points, target_rps, slos) for points in contender.repeated_points]
    uses = [use for use in runs or [use_at(contender, target_rps, slos)] if use is not None]
    return pooled([of_use(use) for use in uses], launches) if uses else _NO_FIGURE


@dataclass(frozen=True, slots=True, eq=False)
class Race:
    """A choice among contenders: who takes part in it, and how it ends. Places are those of `contenders`."""

    contenders: tuple[Contender, ...]
    everyone: Standings
    among: tuple[int, ...]
    """Who can be named. Once finalists were launched again it is them and the defaults: figures that nothing was
    chosen by."""
    found: Standings
    """The standings of those who can be named."""
    named: int
    """The place of the one to name."""
    best: int
    """The place of the one that measured best of those who can be named."""
    tied: tuple[int, ...]
    """The places of all that can't be told apart from the best, it included, launched again or not."""


def race(contenders: Sequence[Contender], target_rps: float, headroom: float, slos: Sequence[Slo]) -> Race:
    """Return the choice among contenders.

    Where finalists were launched again it is among them and the defaults; unless what was found since is told apart
    from the best of them as better: then among all.
    """
    everyone = tuple(contenders)
    found = standings(everyone, target_rps, headroom, slos)
    again = tuple(place for place, one in enumerate(everyone) if one.repeats or one.is_baseline)
    if not any(one.repeats for one in everyone if not one.is_baseline):
        return _race(everyone, found, range(len(everyone)))
    best = leader(found)
    overtaken = best not in again and worse(found, best)[again[leader(found.only(again))]]
    return _race(everyone, found, range(len(everyone)) if overtaken else again)


def _race(contenders: tuple[Contender, ...], everyone: Standings, among: Sequence[int]) -> Race:
    found = everyone.only(among)
    best = among[leader(found)]
    mask = ~worse(everyone, best)
    mask[best] = True
    return Race(
        contenders, everyone, tuple(among), found, among[choice(found)], best, tuple(np.flatnonzero(mask).tolist())
    )


def leader(found: Standings) -> int:
    """Return the place of the one that measured best; among equals the simplest, then the oldest."""
    sustaining = found.sustaining
    if sustaining.any():
        least = np.where(sustaining, found.share, np.inf)
        return _simplest(found, sustaining & (least <= least.min()))
    rates = np.where(found.held, found.log, -np.inf)
    return _simplest(found, rates >= rates.max())


def choice(found: Standings) -> int:
    """Return the place of the one to name: the simplest of those next to the leader.

    Of equally simple ones the one with more capacity, where that is more than noise; then the oldest.
    """
    best = leader(found)
    near = ~_behind(found, best, _SIMPLER, _SIMPLER)
    near &= found.sustaining if found.sustaining[best] else found.held
    near[best] = True
    places = np.flatnonzero(near)
    places = places[found.changed[places] == found.changed[places].min()]
    most = places[np.argmax(found.log[places])]
    error = np.sqrt(found.variance[places] + found.variance[most])
    as_much = places[found.is_open[places] | (found.log[most] - found.log[places] <= _SIMPLER * error)]
    return int(as_much[np.argmin(found.number[as_much])])


def _simplest(found: Standings, among: Flags) -> int:
    places = np.flatnonzero(among)
    return int(places[np.lexsort((found.number[places], found.changed[places]))[0]])


def worse(found: Standings, best: int) -> Flags:
    """Return which are told apart from one of them as worse."""
    if found.sustaining[best]:
        critical = apart(found.size, _HALVED)
        return _behind(found, best, critical, critical)
    return _behind(found, best, apart(found.size, _CONFIDENCE), math.inf)


def _behind(found: Standings, best: int, critical: float, critical_share: float) -> Flags:
    """Return which lie further behind than so many standard deviations of the difference."""
    error = np.sqrt(found.variance + found.variance[best])
    lower = ~found.is_open & (found.log[best] - found.log > critical * error)
    if not found.sustaining[best]:
        return lower
    short = lower & (found.needed - found.log > critical * np.sqrt(found.variance))
    if math.isinf(found.share[best]):
        return short
    slower = found.share - found.share[best] > critical_share * np.sqrt(
        found.share_variance + found.share_variance[best]
    )
    return short | slower
