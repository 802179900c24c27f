"""How much each parameter mattered for reaching the best trials: Optuna's PED-ANOVA, and how sure that is.

PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023; Optuna's default) asks how differently a parameter is distributed
among the best trials and among all. It needs no further package and copes with parameters that only some trials have;
fANOVA, which fits a forest to every value, needs scikit-learn and drops such parameters.

Few trials make any parameter look important. So each importance comes with an interval (of random halves of the trials,
which vary about the whole as the whole does about the truth: the delete-half jackknife, Shao and Wu 1989) and with what
chance alone gives (values dealt to trials at random): told apart from chance is what even the luckiest of all
parameters reaches in less than one deal of twenty (Westfall and Young 1993).
"""

import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState, create_trial

from tuner.domain.flags import FlagValue
from tuner.domain.space import SearchSpace
from tuner.proposal.distributions import distribution, holds

_BEST_SHARE, _BEST_COUNT = 0.1, 10
"""The best are a tenth of all trials, and at least ten: fewer describe no distribution."""
_MOST = 250
"""Trials that importances are computed from; of more a random part, since more change nothing but the time."""
_DEALS, _HALVES = 80, 40
_CHANCE = 0.95

Floats = NDArray[np.float64]


class Case(NamedTuple):
    """One measured trial."""

    values: Mapping[str, FlagValue]
    """Its parameters' values; those that did not apply are absent."""
    loss: float
    """The figure, negated where more is better."""


class Weight(NamedTuple):
    """How much one parameter mattered."""

    parameter: str
    share: float
    """Of all parameters' importance, 0 to 1."""
    lower: float
    """Lower end of the share's 90 % interval."""
    upper: float
    chance: float
    """What chance alone brings a share to in one of twenty cases."""
    is_apart: bool
    """Whether it is told apart from chance."""


def usable(space: SearchSpace, cases: Sequence[Case]) -> tuple[Case, ...]:
    """Return the cases whose values lie within the search space: vLLM's defaults may not."""
    of = {name: distribution(parameter) for name, parameter in space.parameters.items()}
    return tuple(case for case in cases if all(holds(of[name], value) for name, value in case.values.items()))


def weights(space: SearchSpace, cases: Sequence[Case], *, seed: int = 0) -> tuple[Weight, ...]:
    """Return how much each parameter mattered, the most important first.

    Args:
        space: the search space.
        cases: measured trials within it, at least two.
        seed: of the random draws.
    """
    rng = np.random.default_rng(seed)
    of = {name: distribution(parameter) for name, parameter in space.parameters.items()}
    chosen: list[int] = sorted(rng.permutation(len(cases))[:_MOST].tolist())
    some = [cases[place] for place in chosen]
    names = [name for name in of if len({case.values.get(name) for case in some}) > 1]
    if len(some) < 2 or not names:  # noqa: PLR2004  # one trial differs from none
        return ()
    losses = np.array([case.loss for case in some])
    with _quietly():
        study = _study(of, some)
        found = _importances(study, names, losses)
        by_chance = np.array([_importances(study, names, rng.permutation(losses)) for _ in range(_DEALS)])
        halves = np.array([_importances(study, names, _half(losses, rng)) for _ in range(_HALVES)])
    return _told(names, found, by_chance, halves)


def _half(losses: Floats, rng: np.random.Generator) -> Floats:
    """Return the losses of a random half; the others are NaN, which Optuna leaves out."""
    kept = losses.copy()
    kept[rng.permutation(losses.size)[: losses.size // 2]] = np.nan
    return kept


def _told(names: Sequence[str], found: Floats, by_chance: Floats, halves: Floats) -> tuple[Weight, ...]:
    total = float(found.sum()) or 1.0
    mean, deviation = by_chance.mean(axis=0), by_chance.std(axis=0) + 1e-12
    luckiest = np.quantile(((by_chance - mean) / deviation).max(axis=1), _CHANCE)
    apart = (found - mean) / deviation > luckiest
    chance = np.minimum(np.quantile(by_chance, _CHANCE, axis=0) / total, 1.0)
    shares = halves / np.maximum(halves.sum(axis=1, keepdims=True), 1e-12)
    lower, upper = np.quantile(shares, [0.05, 0.95], axis=0)
    told = [
        Weight(name, float(found[i] / total), float(lower[i]), float(upper[i]), float(chance[i]), bool(apart[i]))
        for i, name in enumerate(names)
    ]
    return tuple(sorted(told, key=lambda weight: -weight.share))


def _importances(study: optuna.Study, names: Sequence[str], losses: Floats) -> Floats:
    share = min(max(_BEST_SHARE, _BEST_COUNT / np.isfinite(losses).sum()), 0.5)
    found = get_param_importances(
        study,
        evaluator=PedAnovaImportanceEvaluator(target_quantile=share),
        params=list(names),
        target=lambda trial: float(losses[trial.number]),
        normalize=False,
    )
    return np.array([found[name] for name in names])


def _study(of: Mapping[str, BaseDistribution], cases: Sequence[Case]) -> optuna.Study:
    study = optuna.create_study()
    study.add_trials(
        [
            create_trial(
                state=TrialState.COMPLETE,
                value=case.loss,
                params=dict(case.values),
                distributions={name: of[name] for name in case.values},
            )
            for case in cases
        ]
    )
    return study


@contextmanager
def _quietly() -> Generator[None]:
    """Keep Optuna's remarks to itself: that the option `normalize` is new, and that losses are to be small."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
