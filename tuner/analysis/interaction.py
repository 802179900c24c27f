"""Which parameters interact: where the best value of one depends on another. Pure.

An analysis of variance with interaction terms (Fisher 1925), on the logarithm of a figure, so that factors add up. Each
parameter is cut into up to three levels; a pair's interaction is what a level for each combination explains beyond all
parameters by themselves. Whether that is chance, residuals dealt at random tell (Freedman and Lane 1983), against the
luckiest of all pairs.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuner.domain.flags import FlagValue

Floats = NDArray[np.float64]
Levels = NDArray[np.int64]

_LEVELS = 3
_FEWEST_PER_CELL = 4
"""Trials for each combination of levels, on average, below which nothing is said."""
_DEALS = 200
_CHANCE = 0.95
_LEAST = 0.02
"""Of the variation: less is not worth a word."""


class Interaction(NamedTuple):
    """Two parameters that have to be chosen together."""

    first: str
    second: str
    share: float
    """Of the figure's variation, beyond what each parameter explains by itself, 0 to 1."""


def interactions(
    values: Sequence[Mapping[str, FlagValue]], figures: Sequence[float], names: Sequence[str], *, seed: int = 0
) -> tuple[Interaction, ...] | None:
    """Return the pairs that interact beyond chance, the strongest first; None where there are too few trials to tell.

    Args:
        values: parameters of each trial; those that did not apply are absent.
        figures: a figure of each trial, not negative.
        names: the parameters to consider.
        seed: of the random deals.
    """
    levels = {name: _levels([each.get(name) for each in values]) for name in names}
    used = [name for name in names if levels[name].max(initial=0) > 0]
    cells = max((_size(levels[a]) * _size(levels[b]) for a, b in combinations(used, 2)), default=0)
    if not cells or len(figures) < cells * _FEWEST_PER_CELL:
        return () if len(used) < 2 and len(figures) else None  # noqa: PLR2004  # one parameter has nothing to meet
    return _found(used, levels, _log(figures), np.random.default_rng(seed))


def _found(
    used: Sequence[str], levels: Mapping[str, Levels], figures: Floats, rng: np.random.Generator
) -> tuple[Interaction, ...]:
    alone = _basis(np.column_stack([np.ones(figures.size), *(_dummies(levels[name]) for name in used)]))
    pairs = list(combinations(used, 2))
    bases = [_beyond(alone, _products(levels[a], levels[b])) for a, b in pairs]
    total = float(((figures - figures.mean()) ** 2).sum())
    if total <= 0:
        return ()
    rest = _beyond_vector(alone, figures)
    explained, part = _explained(bases, rest), float(rest @ rest) / total
    dealt = np.array([_explained(bases, _beyond_vector(alone, rng.permutation(rest))) for _ in range(_DEALS)])
    mean, deviation = dealt.mean(axis=0), dealt.std(axis=0) + 1e-12
    luckiest = float(np.quantile(((dealt - mean) / deviation).max(axis=1), _CHANCE))
    told = [
        Interaction(a, b, float(explained[i] - mean[i]) * part)
        for i, (a, b) in enumerate(pairs)
        if (explained[i] - mean[i]) / deviation[i] > luckiest and (explained[i] - mean[i]) * part > _LEAST
    ]
    return tuple(sorted(told, key=lambda one: -one.share))


def _levels(values: Sequence[FlagValue | None]) -> Levels:
    """Return a parameter's level in each trial: thirds of a number's range, else its few values; absent is a level."""
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    distinct = {repr(value) for value in values}
    if len(distinct) <= _LEVELS or len(numbers) < len([v for v in values if v is not None]):
        order = {text: place for place, text in enumerate(sorted(distinct))}
        return np.array([order[repr(value)] for value in values], dtype=np.int64)
    cuts = np.quantile(numbers, np.linspace(0, 1, _LEVELS + 1)[1:-1])
    coded = [_LEVELS if not isinstance(v, (int, float)) else int(np.searchsorted(cuts, v, "right")) for v in values]
    return np.unique(coded, return_inverse=True)[1].astype(np.int64)


def _size(levels: Levels) -> int:
    return int(levels.max(initial=0)) + 1


def _log(figures: Sequence[float]) -> Floats:
    """Return logarithms; a capacity of none counts as half of the smallest there is."""
    values = np.asarray(figures, dtype=np.float64)
    least = values[values > 0].min(initial=math.inf)
    return np.log(np.maximum(values, least / 2 if math.isfinite(least) else 1.0))


def _dummies(levels: Levels) -> Floats:
    return (levels[:, None] == np.arange(1, _size(levels))[None, :]).astype(np.float64)


def _products(first: Levels, second: Levels) -> Floats:
    one, other = _dummies(first), _dummies(second)
    return (one[:, :, None] * other[:, None, :]).reshape(len(first), -1)


def _basis(columns: Floats) -> Floats:
    """Return an orthonormal basis of the columns' span."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > sizes.max(initial=0.0) * 1e-9]


def _beyond(alone: Floats, columns: Floats) -> Floats:
    """Return a basis of what columns span beyond a basis."""
    rest = columns - alone @ (alone.T @ columns)
    left, sizes, _ = np.linalg.svd(rest, full_matrices=False)
    return left[:, sizes > 1e-6]  # noqa: PLR2004  # rounding of what the basis holds already


def _beyond_vector(alone: Floats, values: Floats) -> Floats:
    return values - alone @ (alone.T @ values)


def _explained(bases: Sequence[Floats], rest: Floats) -> Floats:
    """Return which part of the residuals' variation each basis explains."""
    return np.array([float(((basis.T @ rest) ** 2).sum()) for basis in bases]) / max(float(rest @ rest), 1e-300)
