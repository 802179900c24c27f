"""Refusing a configuration before its launch, and a space in which every configuration would be refused.

Pure: no I/O, no clock; randomness is a seed.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from random import Random

from tuner.domain.errors import InputError
from tuner.domain.flags import Flags
from tuner.domain.space import SearchSpace
from tuner.space.rules import refutations
from tuner.space.sampling import corners, draw

_CORNERS = 512
_DRAWS = 4096


def refusal(
    space: SearchSpace, flags: Flags, fixed: Flags, *, version: str = "", facts: Flags | None = None
) -> str | None:
    """Return the sentence that refutes a configuration, or None where nothing static does.

    Args:
        space: its constraints come first.
        flags: the proposed flags.
        fixed: the flags of every launch; proposed ones go before them.
        version: the engine's version (`0.32.0`); without it, every rule counts.
        facts: of the model and the machine, by name (`model.heads`).
    """
    return next(refutations(space, flags, fixed, version=version, facts=facts), None)


def check_possible(space: SearchSpace, fixed: Flags, *, seed: int = 0, where: str = "search_space") -> None:
    """Return if some configuration of the space is feasible: corners first, then some thousand seeded draws.

    Args:
        space: the space.
        fixed: the flags of every launch.
        seed: of the draws.
        where: what errors name as their place.

    Raises:
        InputError: none is; says what refutes how many of those tried. Or a condition can't be evaluated.
    """
    reasons: Counter[str] = Counter()
    tried = 0
    for flags in _candidates(space, seed, where):
        found = tuple(refutations(space, flags, fixed))
        if not found:
            return
        tried += 1
        reasons.update(found)
    lines = "".join(f"\n  {count} of them: {reason}" for reason, count in reasons.most_common())
    raise InputError(f"no configuration is possible: {tried} were tried, all refused{lines}", where=where)


def _candidates(space: SearchSpace, seed: int, where: str) -> Iterator[Flags]:
    random = Random(seed)  # noqa: S311  # reproducible, not secret
    try:
        yield from itertools.islice(corners(space), _CORNERS)
        for _ in range(_DRAWS):
            yield draw(space, random)
    except ValueError as error:
        raise InputError(f"only_when: {error}", where=where) from error
