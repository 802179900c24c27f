"""What a study's budget leaves out, in words. Pure."""

import math
from collections.abc import Iterator

from tuner.domain.space import BoolParameter, CategoricalParameter, FloatParameter, IntParameter, Parameter
from tuner.domain.study import StudySpec

_HEAD_START = 3
"""Trials that the planner suggests after trial 0."""
_GUIDED_PER_PARAMETER = 5
"""Fewer trials than this for each parameter, and a sampler has hardly learned what the parameter does."""
_WITHIN_SIGHT = 20
"""A space of more than so many times the trials is not searched whole, and nobody expects it."""
_YARDSTICK = 60
"""Trials of a usual study."""


def shortfalls(spec: StudySpec, *, rate: float, trial_s: float, done: int, launches: float | None) -> tuple[str, ...]:
    """Return what the budget leaves out.

    Args:
        spec: the study.
        rate: requests per second that a capacity is likely near.
        trial_s: seconds of a trial.
        done: trials that are stored.
        launches: trials still to come; None without a budget.
    """
    return (*_too_coarse(spec, rate), *_too_short(spec, trial_s, done, launches))


def _too_coarse(spec: StudySpec, rate: float) -> Iterator[str]:
    load = spec.load
    if load.time_budget is None:
        return
    seconds = load.fewest_near_capacity / rate
    if seconds > load.time_budget:
        half_width = load.tolerance * math.sqrt(seconds / load.time_budget)
        yield (
            f"capacities to ±{load.tolerance:.0%}: load.time_budget, {load.time_budget / 60:.3g} min at about "
            f"{rate:.3g} req/s, gives ±{half_width:.0%} at best; {seconds / 60:.0f} min a trial would do"
        )


def _too_short(spec: StudySpec, trial_s: float, done: int, launches: float | None) -> Iterator[str]:
    if launches is None:
        hours = _YARDSTICK * trial_s / 3600
        yield f"an end: it has no budget and goes on until it is stopped; {_YARDSTICK} trials would take {hours:.1f} h"
        return
    total, wanted, size = done + launches, spec.budget.trials, configurations(spec)
    if wanted is not None and total < min(wanted, size or math.inf):
        hours = (wanted - done) * trial_s / 3600
        yield f"{wanted - total:g} of {wanted} trials: the {wanted - done} still to come would take {hours:.1f} h"
    if size is not None and total < size < _WITHIN_SIGHT * total:
        yield f"{size - total:,.0f} of the space's {size:,.0f} configurations"
    yield from _too_few(spec, total)


def _too_few(spec: StudySpec, total: float) -> Iterator[str]:
    """Yield what so many trials leave of the candidates and of the sampler's work."""
    first = 1 + len(spec.candidates)
    if total < first:
        yield f"{first - total:g} of the {first} given configurations, vLLM's defaults among them"
        return
    random, parameters = spec.sampler.startup_trials, len(spec.search_space.parameters)
    guided = max(total - first - _HEAD_START - random, 0)
    enough = _GUIDED_PER_PARAMETER * parameters
    if guided == 0:
        yield (
            f"the sampler's model: after the defaults, {len(spec.candidates)} candidates and the planner's "
            f"suggestions, all its trials are random ones (sampler.startup_trials: {random})"
        )
    elif guided < enough:
        yield (
            f"a thorough search: {guided:g} trials by the sampler's model for {parameters} parameters, "
            f"where {enough} or more are usual"
        )


def configurations(spec: StudySpec) -> float | None:
    """Return the size of the search space, conditions and constraints aside; None where a parameter is continuous."""
    sizes = [_size(parameter) for parameter in spec.search_space.parameters.values()]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def _size(parameter: Parameter) -> float | None:
    match parameter:
        case BoolParameter():
            return 2
        case CategoricalParameter(choices=choices):
            return len(choices)
        case IntParameter(low=low, high=high, step=step):
            return (high - low) // step + 1
        case FloatParameter(low=low, high=high, step=step):
            return None if step is None else round((high - low) / step) + 1
