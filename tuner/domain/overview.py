"""A trial at a glance: what lists, fronts and choices need of ten thousand trials, without reading each one whole."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from tuner.domain.failure import FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Purpose, TrialRole, TrialState

_T = TypeVar("_T")
_ROUNDING = 1 - 1e-9


class AtRate(NamedTuple):
    """The load point that speaks for a rate, in the figures that were asked for."""

    rate: float
    """Its own rate, requests per second."""
    slo_met: bool
    figures: Mapping[str, float | None]
    """By name; latencies in seconds. None where the sample supports none."""


class Overview(NamedTuple):
    """A trial with the one load point that speaks for a rate. Fields are those of `tuner.domain.trial.Trial`."""

    id: int
    number: int
    role: TrialRole
    state: TrialState
    flags: dict[str, FlagValue]
    resolved: dict[str, FlagValue | None]
    duplicate_of: int | None
    failure_kind: FailureKind | None
    capacity: Capacity | None
    at_rate: AtRate | None = None
    """None where no valid load point has a rate."""
    again: frozenset[Purpose] = frozenset()
    """What its configuration was launched for later: such trials are read whole where that counts."""
    throttled: bool = False
    """There is a sign that a GPU lowered its clocks against heat: `tuner.analysis.explain` tells whether."""


def speaker(candidates: Iterable[_T], rate: float, rate_of: Callable[[_T], float]) -> _T | None:
    """Return what speaks for a rate: what was measured at it, else next above it, else at the highest below it.

    Of several measured at one rate the first speaks from above, the last from below.
    """
    rated: Sequence[_T] = sorted(candidates, key=rate_of)
    above = next((one for one in rated if rate_of(one) >= rate * _ROUNDING), None)
    if above is not None:
        return above
    return rated[-1] if rated else None
