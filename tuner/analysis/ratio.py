"""One capacity over another, with an interval. Pure.

Owns no capacity. Two 90 % intervals become the 90 % interval of the ratio by the method of variance estimates recovery
(Zou and Donner 2008) on logarithms, which needs no symmetry of either. It takes the two for independent: launches on
two machines, or two launches on one.
"""

import math

from tuner.domain.base import Frozen
from tuner.domain.measurement import Capacity


class Ratio(Frozen):
    """How many times one capacity is another one."""

    value: float | None
    """Of the two estimates; None where they don't bound it from either side."""
    lower: float | None
    """Lower end of the interval; None where it has none, and `value` is a bound from above."""
    upper: float | None
    """Upper end; None where it has none, and `value` is a bound from below."""

    @property
    def is_different(self) -> bool:
        """Whether the interval leaves no room for equal."""
        return (self.lower is not None and self.lower > 1) or (self.upper is not None and self.upper < 1)


UNKNOWN = Ratio(value=None, lower=None, upper=None)


def ratio(one: Capacity, other: Capacity) -> Ratio:
    """Return `one` over `other`.

    A capacity whose upper end is open is a bound from below, and so is the ratio that has it on top; below the line it
    makes a bound from above. With both open, or nothing held on either, nothing is known.
    """
    if one.upper_rps is None and other.upper_rps is None:
        return UNKNOWN
    if one.rps <= 0 or other.rps <= 0:
        return _of_nothing(one, other)
    value = one.rps / other.rps
    lower = None if other.upper_rps is None else _end(value, _down(one), _up(other), sign=-1)
    upper = None if one.upper_rps is None else _end(value, _up(one), _down(other), sign=1)
    return Ratio(value=value, lower=lower, upper=None if upper == math.inf else upper)


def _of_nothing(one: Capacity, other: Capacity) -> Ratio:
    """Return the ratio where a capacity is none: what its interval's upper end still says."""
    if one.rps > 0 and other.upper_rps:
        return Ratio(value=one.rps / other.upper_rps, lower=one.lower_rps / other.upper_rps, upper=None)
    if other.rps > 0 and one.upper_rps is not None:
        upper = one.upper_rps / other.lower_rps if other.lower_rps > 0 else None
        return Ratio(value=0.0, lower=0.0, upper=upper)
    return UNKNOWN


def _end(value: float, one: float, other: float, *, sign: int) -> float:
    """Return an end of the interval, from how far (as logarithms) each capacity may lie that way."""
    return value * math.exp(sign * math.hypot(one, other))


def _down(capacity: Capacity) -> float:
    return math.log(capacity.rps / capacity.lower_rps) if capacity.lower_rps > 0 else math.inf


def _up(capacity: Capacity) -> float:
    upper = capacity.upper_rps
    return math.log(upper / capacity.rps) if upper is not None else math.inf
