"""Drawing configurations of a space: its corners, random ones, and feasible random ones.

Owns how a share of a parameter's range becomes a value, and a value a share. The search itself is the sampler's
(`tuner.proposal`). Pure: randomness is a seed.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from random import Random

from tuner.domain.flags import Flags, FlagValue
from tuner.domain.space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
    is_active,
)
from tuner.space.rules import refutations

_TRIES = 10_000
_SMALLEST = 1e-3
"""Of a log scale's low end: what is smaller, zero for instance, counts as so much."""


def feasible_samples(space: SearchSpace, fixed: Flags, *, seed: int, count: int) -> tuple[dict[str, FlagValue], ...]:
    """Return up to `count` random feasible configurations; fewer when ten thousand draws bring no more.

    Args:
        space: the space.
        fixed: the flags of every launch.
        seed: the same seed gives the same configurations.
        count: how many.
    """
    random = Random(seed)  # noqa: S311  # reproducible, not secret
    draws = (draw(space, random) for _ in range(_TRIES))
    feasible = (flags for flags in draws if next(refutations(space, flags, fixed), None) is None)
    return tuple(itertools.islice(feasible, count))


def draw(space: SearchSpace, random: Random) -> dict[str, FlagValue]:
    """Return a random configuration of the active parameters, feasible or not.

    Raises:
        ValueError: a condition can't be evaluated.
    """
    return _built(space, lambda _, parameter: value_at(parameter, random.random()))


def corners(space: SearchSpace) -> Iterator[dict[str, FlagValue]]:
    """Yield the configurations in which every parameter stands at one of its ends.

    Raises:
        ValueError: a condition can't be evaluated.
    """
    names = list(space.parameters)
    for sides in itertools.product((0.0, 1.0), repeat=len(names)):
        side_of = dict(zip(names, sides, strict=True))
        yield _built(space, lambda name, parameter, side_of=side_of: value_at(parameter, side_of[name]))


def _built(space: SearchSpace, pick: Callable[[str, Parameter], FlagValue]) -> dict[str, FlagValue]:
    flags: dict[str, FlagValue] = {}
    for name, parameter in space.parameters.items():
        if is_active(parameter, flags):
            flags[name] = pick(name, parameter)
    return flags


def value_at(parameter: Parameter, share: float) -> FlagValue:
    """Return the value at a share in [0, 1] of the parameter's range; equal shares are equally likely."""
    match parameter:
        case BoolParameter():
            return _index(2, share) == 1
        case CategoricalParameter(choices=choices):
            return choices[_index(len(choices), share)]
        case IntParameter():
            return _whole(parameter, share)
        case FloatParameter():
            return _real(parameter, share)


def share_of(parameter: IntParameter | FloatParameter, value: float) -> float:
    """Return where a value stands in the parameter's range, 0 to 1; outside of it where the value is."""
    low, high, at = float(parameter.low), float(parameter.high), float(value)
    if parameter.log:
        low, high, at = math.log(low), math.log(high), math.log(max(at, low * _SMALLEST))
    return 0.5 if high == low else (at - low) / (high - low)


def _whole(parameter: IntParameter, share: float) -> int:
    low, high, step = parameter.low, parameter.high, parameter.step
    if parameter.log:
        # Half a step more on both sides, so that the ends are as likely as their neighbours.
        return min(max(round(_between_log(low - 0.5, high + 0.5, share)), low), high)
    return low + step * _index((high - low) // step + 1, share)


def _real(parameter: FloatParameter, share: float) -> float:
    low, high, step = parameter.low, parameter.high, parameter.step
    if parameter.log:
        return min(max(_between_log(low, high, share), low), high)
    if step is None:
        return low + (high - low) * share
    # Rounded to the step's own digits: 0.1 + 2 * 0.1 is 0.3, not 0.30000000000000004.
    return min(round(low + step * _index(round((high - low) / step) + 1, share), 10), high)


def _index(count: int, share: float) -> int:
    return min(int(share * count), count - 1)


def _between_log(low: float, high: float, share: float) -> float:
    return math.exp(math.log(low) + (math.log(high) - math.log(low)) * share)
