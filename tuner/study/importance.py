"""What mattered in a study: for each figure the parameters' importances, their interactions, and how sure that is."""

from collections.abc import Sequence

from tuner.analysis.figures import Direction, direction
from tuner.analysis.interaction import interactions
from tuner.domain.base import Frozen
from tuner.domain.errors import InputError
from tuner.domain.flags import FlagValue
from tuner.domain.overview import Overview
from tuner.domain.space import SearchSpace
from tuner.domain.study import CAPACITY
from tuner.domain.trial import Study, TrialRole, TrialState
from tuner.proposal.importance import Case, usable, weights

PER_PARAMETER = 10
"""Measured trials for each parameter below which importances are said to be doubtful: with ten, random search has seen
three values in each third of a parameter's range, and no fewer than that shows a trend from noise."""
_PAIRED = 6
"""Parameters whose pairs are looked at: the most important ones."""


class Importance(Frozen):
    """How much one parameter mattered."""

    parameter: str
    share: float
    """Of all parameters' importance, 0 to 1."""
    lower: float
    """Lower end of the 90 % interval."""
    upper: float
    chance: float
    """What chance alone brings it to in one case of twenty."""
    is_apart: bool
    """Whether it is told apart from chance."""


class Pair(Frozen):
    """Two parameters that have to be chosen together."""

    first: str
    second: str
    share: float
    """Of the figure's variation, beyond what each parameter explains by itself, 0 to 1."""


class Mattered(Frozen):
    """What mattered for one figure."""

    figure: str
    trials: int
    """Measured trials that it rests on."""
    parameters: tuple[Importance, ...]
    """The most important first; empty where nothing can be said at all."""
    pairs: tuple[Pair, ...]
    """Those that interact beyond chance, the strongest first."""
    pairs_known: bool
    """Whether there were enough trials to look for pairs."""
    warning: str = ""
    """Why it is to be doubted, in a plain sentence; empty where it is not."""


def mattered(study: Study, trials: Sequence[Overview], name: str) -> Mattered:
    """Return what mattered for one figure.

    Args:
        study: the study.
        trials: its trials, with that figure.
        name: such as `capacity_rps` or `ttft_p95`.
    """
    space = study.spec.search_space
    sign = 1.0 if direction(name) is Direction.MINIMIZE else -1.0
    known = [(one, value) for one in trials if (value := _figure(one, name)) is not None]
    cases = usable(space, [Case(_values(space, one), sign * value) for one, value in known])
    found = weights(space, cases)
    named = [weight.parameter for weight in found]
    pairs = interactions([case.values for case in cases], [abs(case.loss) for case in cases], named[:_PAIRED])
    return Mattered(
        figure=name,
        trials=len(cases),
        parameters=tuple(Importance(**weight._asdict()) for weight in found),
        pairs=tuple(Pair(**pair._asdict()) for pair in pairs or ()),
        pairs_known=pairs is not None,
        warning=_warning(len(cases), len(found), any(weight.is_apart for weight in found)),
    )


def names_of(study: Study, target: str | None) -> tuple[str, ...]:
    """Return the figures to explain: the one asked for, or the study's objectives.

    Raises:
        InputError: no such figure.
    """
    if target is None:
        return study.spec.objectives
    try:
        direction(target)
    except ValueError as error:
        raise InputError(f"{error}; or capacity_rps, goodput_rps, output_tokens_per_s", where="--target") from error
    return (target,)


def _figure(one: Overview, name: str) -> float | None:
    if one.state is not TrialState.MEASURED:
        return None
    if name == CAPACITY:
        return one.capacity.rps if one.capacity else None
    return one.at_rate.figures[name] if one.at_rate else None


def _values(space: SearchSpace, one: Overview) -> dict[str, FlagValue]:
    """Return a trial's parameters: those that were proposed, and of given configurations what vLLM made of the rest."""
    own = {name: value for name, value in one.flags.items() if name in space.parameters}
    if one.role is TrialRole.SAMPLED:
        return own
    rest = {name: one.resolved.get(name) for name in space.parameters if space.parameters[name].only_when is None}
    return {name: value for name, value in rest.items() if value is not None} | own


def _warning(trials: int, parameters: int, any_apart: bool) -> str:
    if not parameters:
        return f"Nothing can be said: {trials} measured trials within the search space."
    wanted = PER_PARAMETER * parameters
    if trials < wanted:
        return (
            f"Too few trials to rely on this: {trials} measured, {wanted} wanted "
            f"({PER_PARAMETER} for each of {parameters} parameters)."
        )
    return "" if any_apart else "No parameter is told apart from chance: none mattered enough to show."
