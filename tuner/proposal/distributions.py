"""Parameters of a search space as Optuna's distributions, and values on their way between the two."""

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuner.domain.flags import FlagValue
from tuner.domain.space import BoolParameter, CategoricalParameter, FloatParameter, IntParameter, Parameter


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
