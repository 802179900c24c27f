"""The samplers a study can use, with every argument that matters pinned.

A sampler is made anew for each trial, seeded by the study's seed and the trial's number: what is proposed depends on
the stored trials alone, so a resumed study goes on as if it had never stopped.
"""

import warnings
from typing import Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from tuner.domain.errors import SurroundingsError
from tuner.domain.study import Sampler, SamplerName


def trial_seed(seed: int, number: int) -> int:
    """Return the seed for one trial: independent streams for each pair of study seed and trial number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def make_sampler(sampler: Sampler, number: int) -> BaseSampler:
    """Return the sampler for a trial.

    Raises:
        SurroundingsError: the Gaussian-process sampler is asked for and its extra is not installed.
    """
    seed = trial_seed(sampler.seed, number)
    match sampler.name:
        case SamplerName.RANDOM:
            return RandomSampler(seed=seed)
        case SamplerName.TPE:
            with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
                return TPESampler(seed=seed, n_startup_trials=sampler.startup_trials, **_TPE)
        case SamplerName.GP:
            return _gp_sampler(seed, sampler.startup_trials)


_TPE: dict[str, Any] = {"multivariate": True, "group": True, "constant_liar": True, "n_ei_candidates": 24}


def sampler_arguments(sampler: Sampler) -> dict[str, Any]:
    """Return the sampler's name and arguments as they are stored with the study."""
    pinned = _TPE if sampler.name is SamplerName.TPE else {}
    return sampler.model_dump(mode="json") | pinned


def _gp_sampler(seed: int, startup_trials: int) -> BaseSampler:
    try:
        import scipy  # noqa: F401, PLC0415  # pyright: ignore[reportMissingImports, reportUnusedImport]
        import torch  # noqa: F401, PLC0415  # pyright: ignore[reportMissingImports, reportUnusedImport]
        from optuna.samplers import GPSampler  # noqa: PLC0415
    except ImportError as error:
        raise SurroundingsError(
            "the gp sampler needs scipy and torch", where="sampler.name", advice="pip install 'tuner[gp]'"
        ) from error
    with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
        return GPSampler(seed=seed, n_startup_trials=startup_trials, deterministic_objective=False)
