"""Owns the estimate of the rate at which one criterion crosses its bound, as a distribution over rates. Pure.

The model is local: the logarithm of the odds that a value exceeds its limit rises linearly with the logarithm of the
rate (for a mean: its logarithm does). Two unknowns, the crossing and the steepness, are laid out on a grid, and every
load point multiplies in how well each pair explains it:

- a share counts as so many independent values as its dependence leaves (`tuner.metrics.correlation`), a given-up point
  only as a share that is at least what was seen;
- the rate that counts is the one that arrived: for Poisson arrivals it holds all that a load point says of the rate it
  was drawn for, and the luck of its gaps, a third of the variance in a queue, is taken out of the estimate;
- because the variance itself is estimated, likelihoods have Student's tails: (1 + 2 D / ν) ** (-(ν + 1) / 2) in place
  of exp(-D).

The steepness is averaged out over what queues and servers show. A server that goes from good to hopeless
in one step is the steepest case: the distribution is then flat between the last rate that held and the first that
broke, so the interval is the bracket. Points far from the crossing, where the model need not fit, count less.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuner.metrics.correlation import LongRun, long_run
from tuner.metrics.evidence import Criterion, Measured

Array = NDArray[np.float64]

_RATES = 400
_STEEPNESS = np.geomspace(1.5, 500.0, 60)
_GENTLE = 0.5 * (np.minimum(np.log(_STEEPNESS / 8.0), 0.0) / 0.8) ** 2 - 0.7 * np.log(np.maximum(_STEEPNESS, 8.0))
"""What a steepness costs before anything is known of it: below 8 it is less and less likely, and above that it is
spread between evenly and log-evenly, which made the estimates of steepness least wrong on simulated queues."""
_NEAR = 0.3
"""Points further than this from the crossing, in the logarithm of the rate, don't tell its neighbourhood."""
_FAR_WEIGHT = 0.1
_SKIPPED, _MOST_SKIPPED = 2.0, 0.25
"""A queue forgets its beginning in about so many times the inflation, in requests; at most a quarter of a point."""
_COARSE, _FINE = 120, 160
_TAIL = 1e-3
_LEAST_FREEDOM, _MOST_FREEDOM = 2.0, 200.0
_PRIOR_FREEDOM = 7.0
_PRIOR_FIXED, _PRIOR_VARIED, _PRIOR_POWER, _MOST_PRIOR = 0.46, 0.42, 1.45, 50.0
"""What dependence is taken to do before anything is known of it: its inflation rises with a power of the steepness, and
with the squared variation of the times in service, as waits in a queue do (Kingman 1961). The power was fitted to
fifteen simulated queues (1 to 64 slots, fixed and exponential service, crossings at 51 to 84 % of the ceiling); the
factors are the fit's (0.57, 0.39), moved so that nine in ten intervals of whole searches hold the truth. However steep
a crossing seems, before much is known of it no more than the last figure is taken for granted."""
_ANY_VARIABILITY = 0.6
"""The squared variation where it is not known."""
_FALSE_ALARM, _MISS = 0.05, 0.05
"""How often a queue that does not grow is called growing, and one at 130 % of what is sustained is not, of so many
requests; more requests see less overload, and raise fewer false alarms."""
_SURE_GROWTH, _SURE_REQUESTS = 0.26, 300
"""The logarithm of 1.3: the overload at which growth is seen for sure, by so many requests."""


@dataclass(frozen=True)
class Crossing:
    """Where a criterion crosses its bound: a distribution over rates on a grid."""

    log_rates: Array
    """Evenly spaced, shape (rates,)."""
    mass: Array
    """Probabilities, shape (rates,); they sum to 1."""
    steepness: float
    """By how much the logarithm of the odds, or of the mean, rises with the logarithm of the rate."""
    inflation: float = 1.0
    """By how much dependence inflates the variance."""
    allowed: float | None = None
    """The share allowed; None for a mean."""
    noise: float = 1.0
    """Variance of one value over the square of its mean; for a mean alone."""

    def information(self, log_rates: Array) -> Array:
        """Return how much one request at these rates tells of the log odds there (for a mean, of its logarithm)."""
        if self.allowed is None:
            return np.full(log_rates.shape, 1 / (self.noise * self.inflation))
        bound = math.log(self.allowed / (1 - self.allowed))
        share = 1 / (1 + np.exp(-bound - self.steepness * (log_rates - math.log(self.rate(0.5)))))
        return share * (1 - share) / self.inflation

    def rate(self, quantile: float) -> float:
        """Return the rate below which this share of the distribution lies."""
        below, edges = self._cumulated
        return float(np.exp(np.interp(quantile, below, edges)))

    @cached_property
    def _cumulated(self) -> tuple[Array, Array]:
        """The share of the distribution below the edges of the grid's cells, and these edges."""
        half = float(self.log_rates[1] - self.log_rates[0]) / 2
        edges = np.concatenate([self.log_rates[:1] - half, self.log_rates + half])
        return np.concatenate([[0.0], np.cumsum(self.mass)]), edges


def crossing(name: str, measured: Sequence[Measured], low: float, high: float) -> Crossing:
    """Return where a criterion crosses its bound, as far as the load points tell; flat in log rate before any does.

    Args:
        name: of the criterion.
        measured: valid load points.
        low: lowest rate considered.
        high: highest rate considered.
    """
    pairs = [(point, one) for point in measured for one in point.criteria if one.name == name and one.weights.sum() > 0]
    found = _flat(low, high)
    for passes in range(3):
        found = _located(pairs, found, low, high, zoom=passes > 0)
    return found


def queue_crossing(measured: Sequence[Measured], low: float, high: float) -> Crossing:
    """Return where the queue begins to grow: a verdict that is sometimes wrong, and seldom sees a slight overload."""
    grid = _flat(low, high)
    loss = np.zeros(_COARSE)
    for point in measured:
        certainty = max(point.requests / _SURE_REQUESTS, 1.0)
        overload = np.clip((np.log(point.rate) - grid.log_rates) / _SURE_GROWTH * certainty**0.5, 0.0, 1.0)
        alarm = _FALSE_ALARM / certainty
        growing = alarm + (1 - alarm - _MISS) * overload
        loss -= np.log(growing if point.growing else 1 - growing)
    return Crossing(grid.log_rates, _normalised(np.exp(loss.min() - loss)), float("inf"))


def _flat(low: float, high: float, count: int = _COARSE) -> Crossing:
    log_rates: Array = np.linspace(math.log(low), math.log(high), count)
    return Crossing(log_rates, np.full(count, 1 / count), 10.0)


def _located(
    pairs: Sequence[tuple[Measured, Criterion]], before: Crossing, low: float, high: float, *, zoom: bool
) -> Crossing:
    grid = _flat(low, high)
    if zoom:
        grid = _flat(max(low, before.rate(_TAIL) * 0.98), min(high, before.rate(1 - _TAIL) * 1.02), _FINE)
    pairs = [_settled(point, one, before.inflation) for point, one in pairs]
    spread = _dependence(pairs, before)
    inflation = max(1.0, spread.variance)
    centre = np.log(before.rate(0.5))
    loss = np.zeros((grid.log_rates.size, _STEEPNESS.size))
    for point, one in pairs:
        away = abs(np.log(point.realised) - centre)
        weight = (max(_FAR_WEIGHT, (1 - min(away / _NEAR, 1.0) ** 3) ** 3) if zoom else 1.0) / inflation
        loss += weight * _loss(point, one, grid.log_rates)
    loss += _GENTLE if pairs and pairs[0][1].allowed is not None else 0.0
    freedom = float(np.clip(spread.freedom, _LEAST_FREEDOM, _MOST_FREEDOM))
    mass = (1 + 2 * (loss - loss.min()) / freedom) ** (-(freedom + 1) / 2)
    steep = mass.sum(axis=0) / mass.sum()
    return Crossing(
        grid.log_rates,
        _normalised(mass.sum(axis=1)),
        float(np.exp(steep @ np.log(_STEEPNESS))),
        inflation,
        pairs[0][1].allowed if pairs else None,
        float(np.mean([_noise(one) for _, one in pairs])) if pairs and pairs[0][1].allowed is None else 1.0,
    )


def _settled(point: Measured, one: Criterion, inflation: float) -> tuple[Measured, Criterion]:
    """Return a point without its first requests, which met a queue that had not yet forgotten that it began empty."""
    skipped = int(min(_SKIPPED * inflation, _MOST_SKIPPED * one.values.size))
    if one.at_least or not skipped:
        return point, one
    gaps = point.gaps[skipped:]
    realised = point.realised / float(gaps.mean()) if gaps.size else point.realised
    kept = replace(one, values=one.values[skipped:], weights=one.weights[skipped:])
    return replace(point, gaps=gaps, realised=realised), kept


def _noise(one: Criterion) -> float:
    """Return the variance of one value over the square of the mean."""
    return max(float(np.var(one.values)) / max(one.level, 1e-9) ** 2, 1e-9)


def _loss(point: Measured, one: Criterion, log_rates: Array) -> Array:
    """Return half the deviance of a load point for every crossing and steepness, as of independent values."""
    rise = (np.log(point.realised) - log_rates)[:, None] * _STEEPNESS
    size, seen = float(one.weights.sum()), one.level
    if one.allowed is None:
        return size / _noise(one) * (np.log(max(seen, 1e-9)) - rise) ** 2 / 2
    odds = np.log(one.allowed / (1 - one.allowed)) + rise
    # log(1 + exp(odds)), far quicker than np.logaddexp.
    log_sum = np.log1p(np.exp(-np.abs(odds))) + np.maximum(odds, 0.0)
    best = seen * np.log(seen) if seen > 0 else 0.0
    best += (1 - seen) * np.log(1 - seen) if seen < 1 else 0.0
    loss = size * (best - seen * odds + log_sum)
    return np.where(odds - log_sum >= np.log(max(seen, 1e-300)), 0.0, loss) if one.at_least else loss


def _dependence(pairs: Sequence[tuple[Measured, Criterion]], before: Crossing) -> LongRun:
    """Return the inflation of the variance near the crossing, with its degrees of freedom."""
    near = [
        (point, one)
        for point, one in pairs
        if not one.at_least and abs(np.log(point.realised) - np.log(before.rate(0.5))) < _NEAR
    ]
    found = long_run([_residuals(point, one, before.steepness) for point, one in near])
    size = sum(one.values.size for _, one in near)
    plain = sum(_plain_variance(one) * one.values.size for _, one in near) / size if size else 0.0
    seen = found.variance / plain if plain > 0 else 0.0
    varied = _PRIOR_FIXED + _PRIOR_VARIED * _variability(pairs)
    prior = min(varied * before.steepness**_PRIOR_POWER, _MOST_PRIOR)
    clusters = plain * size / max(seen, 1.0)  # more batches than independent events add no knowledge
    known = min(found.freedom, clusters) if plain > 0 else 0.0
    freedom = known + _PRIOR_FREEDOM
    return LongRun((seen * known + prior * _PRIOR_FREEDOM) / freedom, freedom)


def _variability(pairs: Sequence[tuple[Measured, Criterion]]) -> float:
    """Return the squared variation of times in service, over all points that tell."""
    known = [(one.variability, one.requests) for one, _ in pairs if one.variability is not None]
    requests = sum(size for _, size in known)
    return sum(value * size for value, size in known) / requests if requests else _ANY_VARIABILITY


def _plain_variance(one: Criterion) -> float:
    """Return the variance of one value, as if all were independent."""
    if one.allowed is None:
        return float(np.var(one.values))
    return one.level * (1 - one.level) * float(one.weights.mean())


def _residuals(point: Measured, one: Criterion, steepness: float) -> Array:
    """Return what is left of each value once the share, and the luck of the gaps between arrivals, are taken out."""
    rest = one.values - one.level * one.weights
    if not point.gaps.size:
        return rest
    slope = one.level if one.allowed is None else one.level * (1 - one.level)
    return rest - slope * steepness * (1 - point.gaps) * float(one.weights.mean())


def _normalised(mass: Array) -> Array:
    return mass / mass.sum()
