"""Configurations that are due before the sampler is asked: the defaults, candidates, a warm start, a head start.

Owns their order and which of them are still to come. Pure, apart from what it is handed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tuner.domain.flags import Flags, FlagValue
from tuner.domain.space import BoolParameter, CategoricalParameter, FloatParameter, IntParameter, Parameter, SearchSpace
from tuner.domain.trial import Trial, TrialRole, TrialState, measured_baseline
from tuner.space.feasibility import refusal
from tuner.space.sampling import value_at


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configuration that is due."""

    role: TrialRole
    flags: dict[str, FlagValue]


def _nothing(_: Sequence[Trial]) -> Sequence[Flags]:
    return ()


@dataclass(frozen=True, slots=True)
class Given:
    """All that a study measures before its sampler is asked."""

    candidates: Sequence[Flags] = ()
    """What the user named."""
    warm: Sequence[Flags] = ()
    """The best of an earlier study."""
    head_start: Callable[[Sequence[Trial]], Sequence[Flags]] = _nothing
    """The planner's suggestions; asked only once all before them has ended."""

    def due(self, history: Sequence[Trial]) -> Iterator[Wanted]:
        """Yield what is still to come, in order.

        Args:
            history: the study's trials so far.
        """
        if measured_baseline(history) is None:
            yield Wanted(TrialRole.BASELINE, {})
        yield from _left(history, TrialRole.CANDIDATE, self.candidates)
        yield from _left(history, TrialRole.WARM_START, self.warm)
        yield from _left(history, TrialRole.SUGGESTED, self.head_start(history))
        yield from _lost(history)


def _left(history: Sequence[Trial], role: TrialRole, wanted: Iterable[Flags]) -> Iterator[Wanted]:
    ended = [trial for trial in history if trial.state is not TrialState.INTERRUPTED]
    known = [trial.flags for trial in ended if trial.role is role]
    yield from (Wanted(role, dict(flags)) for flags in wanted if dict(flags) not in known)


def _lost(history: Sequence[Trial]) -> Iterator[Wanted]:
    """Yield sampled trials that an interruption lost."""
    measured_later = [
        trial.flags
        for trial in history
        if trial.role is TrialRole.SAMPLED and trial.state is not TrialState.INTERRUPTED
    ]
    for trial in history:
        lost = trial.state is TrialState.INTERRUPTED and trial.role is TrialRole.SAMPLED
        if lost and trial.flags not in measured_later:
            yield Wanted(TrialRole.SAMPLED, trial.flags)


def fitted(space: SearchSpace, fixed: Flags, suggestions: Iterable[Flags]) -> tuple[dict[str, FlagValue], ...]:
    """Return suggestions as the space allows them: its parameters only, within its ranges, none twice.

    Args:
        space: what is tuned.
        fixed: the flags of every launch.
        suggestions: what arithmetic suggests, whatever the space.
    """
    found: list[dict[str, FlagValue]] = []
    for flags in suggestions:
        tuned = {name: value for name, value in flags.items() if name in space.parameters}
        clipped = {name: _clipped(space.parameters[name], value) for name, value in tuned.items()}
        if clipped and clipped not in found and refusal(space, clipped, fixed) is None:
            found.append(clipped)
    return tuple(found)


def _clipped(parameter: Parameter, value: FlagValue) -> FlagValue:
    """Return the value of the parameter that is nearest to a number."""
    match parameter:
        case IntParameter() | FloatParameter() if _is_number(value):
            return _on_grid(parameter, float(value))
        case CategoricalParameter(choices=choices) if _is_number(value):
            numbers = [choice for choice in choices if _is_number(choice)]
            return min(numbers, key=lambda choice: abs(float(choice) - float(value)), default=choices[0])
        case BoolParameter() | CategoricalParameter() | IntParameter() | FloatParameter():
            return value


def _on_grid(parameter: IntParameter | FloatParameter, value: float) -> FlagValue:
    inside = min(max(value, parameter.low), parameter.high)
    if isinstance(parameter, IntParameter) and parameter.step == 1:
        return round(inside)
    if parameter.log or parameter.step is None:
        return inside
    steps = round((inside - parameter.low) / parameter.step)
    last = round((parameter.high - parameter.low) / parameter.step)
    return value_at(parameter, (steps + 0.5) / (last + 1))


def _is_number(value: FlagValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
