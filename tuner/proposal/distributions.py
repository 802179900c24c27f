"""Parameters of a search space as Optuna's distributions, and values on their way between the two."""

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuner.domain.flags import FlagValue
from tuner.domain.space import BoolParameter, CategoricalParameter, FloatParameter, IntParameter, Parameter

_ON_A_STEP = 1e-8
"""Optuna's own tolerance."""


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a parameter."""
    match parameter:
        case IntParameter(low=low, high=high, log=log, step=step):
            return IntDistribution(low, high, log=log, step=step)
        case FloatParameter(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case CategoricalParameter(choices=choices):
            return CategoricalDistribution(choices)
        case BoolParameter():
            return CategoricalDistribution((False, True))


def internal_value(of: BaseDistribution, value: FlagValue) -> float | None:
    """Return Optuna's internal number for a value, inside the range or not; None where there is no such number.

    A default outside the range is what trial 0 often has, and Optuna's samplers cope with it. A value that is no
    choice of a categorical parameter has no number.
    """
    try:
        return of.to_internal_repr(value)
    except (ValueError, TypeError):
        return None


def holds(of: BaseDistribution, value: FlagValue) -> bool:
    """Return whether a value lies within a distribution, on its steps where it has any."""
    internal = internal_value(of, value)
    if internal is None or isinstance(of, CategoricalDistribution):
        return internal is not None
    if not isinstance(of, (IntDistribution, FloatDistribution)):
        raise AssertionError(f"no such distribution: {of!r}")  # noqa: TRY004  # no caller's mistake
    steps = (internal - of.low) / of.step if of.step else 0.0
    return of.low <= internal <= of.high and abs(steps - round(steps)) < _ON_A_STEP
