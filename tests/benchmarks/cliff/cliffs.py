"""Synthetic memory cliffs over real flags: where a launch fails, and how good a configuration is that does not.

Distances are shares of a parameter's range (its logarithm, where the range is logarithmic). The best configuration
lies a hundredth of a range beside the cliff, where it is in real life: throughput grows with what takes memory.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tuner.domain.failure import FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.space import FloatParameter, IntParameter
from tuner.domain.study import StudySpec
from tuner.space.sampling import share_of, value_at

Point = NDArray[np.float64]
BESIDE = 0.01
"""From the best configuration to the cliff, as a share of the range."""
_DIMENSIONS = 3


def spec(seed: int) -> StudySpec:
    """Return a study of the three flags that memory depends on most."""
    return StudySpec.model_validate(
        {
            "study": "cliff",
            "model": "m",
            "search_space": {
                "parameters": {
                    "max-num-seqs": {"type": "int", "low": 8, "high": 1024, "log": True},
                    "max-num-batched-tokens": {"type": "int", "low": 512, "high": 32768, "log": True},
                    "gpu-memory-utilization": {"type": "float", "low": 0.5, "high": 0.98},
                }
            },
            "slos": {"ttft_p95": "500ms"},
            "objectives": ["ttft_p95"],
            "sampler": {"seed": seed},
        }
    )


@dataclass(frozen=True)
class Cliff:
    """One problem. Points are shares of the ranges."""

    fails: Callable[[Point], bool]
    best: Point
    """The best configuration."""
    start: Point
    """Trial 0, the defaults; it runs."""
    weights: Point
    kind: FailureKind = FailureKind.OOM_START
    """How it fails."""

    def loss(self, point: Point) -> float:
        """Return how much worse than the best a configuration is."""
        return float((self.weights * np.abs(point - self.best)).sum())


def _none(random: np.random.Generator) -> Cliff:
    return _cliff(random, lambda _: False, random.uniform(0.1, 0.9, _DIMENSIONS), np.full(_DIMENSIONS, 0.35))


def _memory(random: np.random.Generator) -> Cliff:
    """About a third does not run: a x seqs + b x batched + c x utilization is above a limit."""
    return _plane(random, np.array([1.0, 0.8, 0.4]), random.uniform(0.55, 0.65), np.full(_DIMENSIONS, 0.35))


def _half(random: np.random.Generator) -> Cliff:
    """Half of the space does not run, by a plane of any slope."""
    weights = random.uniform(0.3, 1.0, _DIMENSIONS)
    limit = float(np.median(random.uniform(0, 1, (4000, _DIMENSIONS)) @ (weights / weights.sum())))
    return _plane(random, weights, limit, np.full(_DIMENSIONS, 0.2))


def _plane(random: np.random.Generator, weights: Point, limit: float, start: Point) -> Cliff:
    slope = weights / weights.sum()
    while True:
        best = random.uniform(0, 1, _DIMENSIONS)
        best += (limit - BESIDE - slope @ best) / (slope @ slope) * slope
        if ((best >= 0) & (best <= 1)).all():
            return _cliff(random, lambda point: bool(slope @ point > limit), best, start)


def _one(random: np.random.Generator) -> Cliff:
    """One parameter decides, and neither flags nor failures tell which and in which direction: the engine dies."""
    which, side, edge = random.integers(_DIMENSIONS), random.choice([-1, 1]), random.uniform(0.3, 0.7)
    best, start = random.uniform(0.1, 0.9, _DIMENSIONS), np.full(_DIMENSIONS, 0.4)
    best[which], start[which] = edge - side * BESIDE, edge - side * 0.25
    found = _cliff(random, lambda point: bool(side * (point[which] - edge) > 0), best, start)
    return replace(found, kind=FailureKind.ENGINE_DEAD)


def _corner(random: np.random.Generator) -> Cliff:
    """Only where two parameters are both large does nothing run; the best stands beside one of the edges."""
    edges, best = random.uniform(0.4, 0.6, 2), random.uniform(0.1, 0.9, _DIMENSIONS)
    along, across = random.permutation(2)
    best[across], best[along] = edges[across] - BESIDE, random.uniform(edges[along], 1)
    return _cliff(random, lambda point: bool((point[:2] > edges).all()), best, np.full(_DIMENSIONS, 0.35))


def _cliff(random: np.random.Generator, fails: Callable[[Point], bool], best: Point, start: Point) -> Cliff:
    return Cliff(fails, best, start, random.uniform(0.5, 1.5, _DIMENSIONS))


KINDS: Mapping[str, Callable[[np.random.Generator], Cliff]] = {
    "none": _none,
    "memory": _memory,
    "half of the space": _half,
    "one parameter": _one,
    "corner": _corner,
}


def cliff(kind: str, seed: int) -> Cliff:
    """Return the problem of a kind for a seed."""
    return KINDS[kind](np.random.default_rng([seed, zlib.crc32(kind.encode())]))


def shares(study: StudySpec, flags: Mapping[str, FlagValue]) -> Point:
    """Return where a configuration stands."""
    return np.array([share_of(_range(study, name), float(flags[name])) for name in study.search_space.parameters])


def flags_at(study: StudySpec, point: Point) -> dict[str, FlagValue]:
    """Return the configuration at a point."""
    names = study.search_space.parameters
    return {name: value_at(_range(study, name), float(share)) for name, share in zip(names, point, strict=True)}


def _range(study: StudySpec, name: str) -> IntParameter | FloatParameter:
    parameter = study.search_space.parameters[name]
    assert isinstance(parameter, IntParameter | FloatParameter)
    return parameter
