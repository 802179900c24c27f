"""How probable it is that a point of the unit cube fails, from points that did and points that did not.

A Gaussian-process classifier with a logistic likelihood in Laplace's approximation (Rasmussen and Williams, Gaussian
Processes for Machine Learning, algorithms 3.1 and 3.2). How far a launch speaks for its neighbourhood is decided by the
data: the approximate marginal likelihood picks one of some lengths. A kernel with a plane beside the bumps was tried
and left out: it is surer of what lies far away, and loses optima behind corners. Pure numpy: a study has some hundred
launches, and a fit takes milliseconds.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Shape (points, dimensions); every coordinate about [0, 1]."""
Vector = NDArray[np.float64]
"""Shape (points,)."""

_PRIOR = -1.5
"""The log-odds of failing far from everything known: 18 %."""
_ITERATIONS = 30
_TOLERANCE = 1e-6
_JITTER = 1e-8
_LEAST_CURVATURE = 1e-10


class Kernel(NamedTuple):
    """A prior over the log-odds of failing."""

    level: float
    """Standard deviation of a constant."""
    bump: float
    """Standard deviation of what changes from place to place."""
    length: float
    """How far a point speaks for its neighbourhood, as a share of a dimension."""

    def between(self, left: Points, right: Points) -> Points:
        """Return the covariances of two sets of points."""
        gaps = ((left[:, None, :] - right[None, :, :]) ** 2).sum(axis=2)
        return self.level**2 + self.bump**2 * np.exp(-gaps / (2 * self.length**2))

    @property
    def variance(self) -> float:
        """Of any one point."""
        return self.level**2 + self.bump**2


KERNELS = (Kernel(3.0, 8.0, 0.2), Kernel(3.0, 8.0, 0.4), Kernel(3.0, 8.0, 0.8))


@dataclass(frozen=True, slots=True)
class Fit:
    """A classifier that has seen points."""

    kernel: Kernel
    points: Points
    gradient: Vector
    root: Vector
    cholesky: Vector
    evidence: float
    """Logarithm of the approximate marginal likelihood."""

    def log_odds(self, points: Points) -> Vector:
        """Return the most probable log-odds of failing at each point."""
        return _PRIOR + self.kernel.between(points, self.points) @ self.gradient

    def probability(self, points: Points) -> Vector:
        """Return the probability of failing at each point, doubt about the log-odds averaged in (MacKay 1992)."""
        across = self.kernel.between(points, self.points)
        solved = np.linalg.solve(self.cholesky, self.root[:, None] * across.T)
        variance = np.maximum(self.kernel.variance - (solved**2).sum(axis=0), 0.0)
        mean = _PRIOR + across @ self.gradient
        return _logistic(mean / np.sqrt(1 + math.pi * variance / 8))


def fit(points: Points, failed: NDArray[np.bool_]) -> Fit:
    """Return the classifier of the kernel that explains best which points failed."""
    return max((_laplace(kernel, points, failed) for kernel in KERNELS), key=lambda one: one.evidence)


def _laplace(kernel: Kernel, points: Points, failed: NDArray[np.bool_]) -> Fit:
    """Find the most probable log-odds by Newton's method, and how well they explain what failed."""
    covariance = kernel.between(points, points) + _JITTER * np.eye(len(points))
    target, sign = failed.astype(float), np.where(failed, 1.0, -1.0)
    latent, likelihood = np.zeros(len(points)), -np.inf
    for _ in range(_ITERATIONS):
        chance, root, cholesky = _curvature(covariance, latent)
        right = root**2 * latent + target - chance
        step = right - root * np.linalg.solve(cholesky.T, np.linalg.solve(cholesky, root * (covariance @ right)))
        latent = covariance @ step
        before = likelihood
        likelihood = float(-0.5 * step @ latent - np.logaddexp(0, -sign * (latent + _PRIOR)).sum())
        if likelihood - before < _TOLERANCE:
            break
    chance, root, cholesky = _curvature(covariance, latent)
    evidence = likelihood - float(np.log(np.diag(cholesky)).sum())
    return Fit(kernel, points, target - chance, root, cholesky, evidence)


def _curvature(covariance: Points, latent: Vector) -> tuple[Vector, Vector, Points]:
    """Return the chances of failing, the roots of the likelihood's curvature, and Cholesky's factor of I + rKr."""
    chance = _logistic(latent + _PRIOR)
    root = np.sqrt(np.maximum(chance * (1 - chance), _LEAST_CURVATURE))
    inner = np.eye(len(latent)) + root[:, None] * covariance * root[None, :]
    return chance, root, np.asarray(np.linalg.cholesky(inner), np.float64)


def _logistic(values: Vector) -> Vector:
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))
