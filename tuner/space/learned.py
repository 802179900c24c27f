"""Limits that no rule states, learned from the launches of a study: out of memory, too few blocks, death under load.

Owns the question whether a proposed configuration would probably fail, and the answer in words. Two kinds of evidence
are put together: a classifier over the space, which knows nothing of flags (`tuner.space.classifier`), and the order of
memory: what takes no more of it than a configuration that ran will run, what takes no less than one that ran out of it
will not. Before the first failure nothing is ever refused. From then on a proposal needs a probability of failing
below a bar, which falls while more launches fail than they should, and rises with every refusal in a row, so that a
search is never starved and the edge of a cliff, where the optimum often is, gets explored. Pure: no clock, no
randomness.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tuner.domain.failure import FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.space import FloatParameter, IntParameter, Parameter, SearchSpace
from tuner.space.classifier import Fit, Points, fit
from tuner.space.sampling import share_of

TEACHING = frozenset(kind for kind in FailureKind if kind.is_configuration_fault) - {
    FailureKind.INFEASIBLE,
    FailureKind.LOAD_FAILED,
}
"""Failures that show where configurations can't run. A server that is too slow for its load is no such limit."""

_BAR, _LOW_BAR = 0.40, 0.30
"""The highest accepted probability of failing, and the one while failures are above their share."""
_SHARE, _GRACE = 0.08, 1.0
"""Failures that launches may spend on finding the edge: a share of them, and a first one."""
_RISE = 0.02
"""How much the bar rises with each proposal in a row that needed no launch."""
_HIGHEST_BAR = 0.999
_NEAR = 3
"""How many failed launches a sentence names."""
_ALIKE = 0.02
"""Shares of a range that are this close count as the same value."""

_MEMORY = frozenset({FailureKind.OOM_START, FailureKind.OOM_RUN, FailureKind.KV_TOO_SMALL})
_TAKES_MEMORY: tuple[str, ...] = (
    "max-num-seqs",
    "max-num-batched-tokens",
    "max-model-len",
    "max-cudagraph-capture-size",
)
"""Flags of which more takes more memory, from whatever else needs some."""
_GIVES_TO_CACHE: tuple[str, ...] = ("gpu-memory-utilization", "kv-cache-memory-bytes")
"""Flags of which more gives the KV cache more, and everything beside vLLM's own sum less."""
_BY_ORDER = (0.05, 0.9)
"""The probability of failing, at most and at least, of what takes no more than what ran, and no less than what failed:
memory is not quite the same in every launch."""

_WORDS = {
    FailureKind.OOM_START: "ran out of memory",
    FailureKind.OOM_RUN: "ran out of memory under load",
    FailureKind.KV_TOO_SMALL: "had too little memory left for the KV cache",
    FailureKind.ENGINE_DEAD: "died under load",
    FailureKind.ENGINE_HUNG: "hung under load",
    FailureKind.START_TIMEOUT: "did not start in time",
    FailureKind.INVALID_ARGS: "were refused by vLLM",
    FailureKind.UNSUPPORTED: "were not supported by vLLM",
}

Values = Mapping[str, FlagValue | None]
"""Flag name to value, as resolved: None or a missing name is a flag that is omitted."""


class Ended(NamedTuple):
    """A launched configuration, and what became of it."""

    number: int
    """The trial's."""
    values: Values
    failure: FailureKind | None
    """None where it ran."""


class Doubt(NamedTuple):
    """Why a configuration is refused though nothing proves that it fails."""

    probability: float
    """Of failing, 0 to 1."""
    violation: float
    """How far the log-odds of failing are above what is accepted; positive."""
    evidence: str
    """In plain words: `trials 4, 9 and 11 ran out of memory with smaller max-num-seqs …`."""


@dataclass(frozen=True)
class Limits:
    """What the launches of a study say about configurations that were not launched."""

    space: SearchSpace
    ended: Sequence[Ended]

    @property
    def failed(self) -> tuple[Ended, ...]:
        """The launches that failed."""
        return tuple(one for one in self.ended if one.failure is not None)

    def probability(self, values: Values) -> float:
        """Return how probable it is that a configuration fails; 0 before the first failure."""
        if not self.failed:
            return 0.0
        by_place = float(self._fit.probability(self._at(values))[0])
        most, least = _BY_ORDER
        if any(self._takes_no_more(values, one.values) for one in self.ended if one.failure is None):
            return min(by_place, most)
        if any(self._takes_no_more(one.values, values) for one in self.failed):
            return max(by_place, least)
        return by_place

    def log_odds(self, values: Values) -> float:
        """Return the log-odds of failing: what a sampler is told of a launch, its own outcome among what is known."""
        return float(self._fit.log_odds(self._at(values))[0]) if self.ended else 0.0

    def doubt(self, values: Values, *, in_a_row: int) -> Doubt | None:
        """Return why a configuration should not be launched, None where it should.

        Args:
            values: of the space's parameters.
            in_a_row: proposals since the last launch, none of which was launched.
        """
        probability = self.probability(values)
        bar = self._bar(in_a_row)
        if probability <= bar:
            return None
        violation = _log_odds(min(probability, _HIGHEST_BAR)) - _log_odds(bar)
        return Doubt(probability, max(violation, 1e-3), self._evidence(values, probability))

    def _bar(self, in_a_row: int) -> float:
        within = len(self.failed) <= _SHARE * len(self.ended) + _GRACE
        return min((_BAR if within else _LOW_BAR) + _RISE * in_a_row, _HIGHEST_BAR)

    @cached_property
    def _fit(self) -> Fit:
        points = np.array([coordinates(self.space, one.values) for one in self.ended])
        return fit(points, np.array([one.failure is not None for one in self.ended]))

    @cached_property
    def _worse(self) -> dict[str, int]:
        """By flag, whether more of it (1) or less (-1) brings failures; empty where launches broke that order."""
        kinds = {one.failure for one in self.failed}
        if not kinds <= _MEMORY:
            return {}
        worse = dict.fromkeys(_TAKES_MEMORY, 1)
        if FailureKind.KV_TOO_SMALL not in kinds:
            worse |= dict.fromkeys(_GIVES_TO_CACHE, 1)
        elif len(kinds) == 1:
            worse |= dict.fromkeys(_GIVES_TO_CACHE, -1)
        ran = [one for one in self.ended if one.failure is None]
        broken = any(self._in_order(lost.values, one.values, worse) for lost in self.failed for one in ran)
        return {} if broken else worse

    def _takes_no_more(self, here: Values, there: Values) -> bool:
        return bool(self._worse) and self._in_order(here, there, self._worse)

    def _in_order(self, here: Values, there: Values, worse: Mapping[str, int]) -> bool:
        """Return whether `here` is nowhere on the worse side of `there`, and equal where no side is worse."""
        for name in self.space.parameters:
            one, other = here.get(name), there.get(name)
            if one == other and type(one) is type(other):
                continue
            left, right = _number(one), _number(other)
            if name not in worse or left is None or right is None or (left - right) * worse[name] > 0:
                return False
        return True

    def _at(self, values: Values) -> Points:
        return np.array([coordinates(self.space, values)])

    def _evidence(self, values: Values, probability: float) -> str:
        here = self._at(values)[0]
        failed = sorted(self.failed, key=lambda one: float(((self._at(one.values)[0] - here) ** 2).sum()))
        kind = failed[0].failure
        nearest = [one for one in failed if one.failure is kind][:_NEAR]
        numbers = _listed([f"{one.number}" for one in sorted(nearest)])
        head = f"trial{'s' if len(nearest) > 1 else ''} {numbers} {_words(kind, len(nearest))}"
        return f"{head} with {self._compared(values, nearest)}: {probability:.0%} likely to fail too"

    def _compared(self, values: Values, others: Sequence[Ended]) -> str:
        """Say how the nearest failures differ: with smaller max-num-seqs; where no one word fits, nothing is said."""
        said: list[str] = []
        for name, parameter in self.space.parameters.items():
            gaps = [_gap(parameter, values.get(name), one.values.get(name)) for one in others]
            known = [gap for gap in gaps if gap is not None]
            if len(known) < len(gaps) or all(abs(gap) <= _ALIKE for gap in known):
                continue
            if all(gap > -_ALIKE for gap in known):
                said.append(f"smaller {name}")
            elif all(gap < _ALIKE for gap in known):
                said.append(f"larger {name}")
        return _listed(said) if said else "much the same flags"


def coordinates(space: SearchSpace, values: Values) -> list[float]:
    """Return a configuration as a point: a column for each range, one for each choice, all about [0, 1].

    A range whose flag is omitted, or has a value such as `auto`, stands in the middle, and a column says so.
    """
    point: list[float] = []
    for name, parameter in space.parameters.items():
        value = values.get(name)
        if isinstance(parameter, IntParameter | FloatParameter):
            number = _number(value)
            share = 0.5 if number is None else share_of(parameter, number)
            point += [min(max(share, -0.5), 1.5), float(number is None)]
        else:
            choices = getattr(parameter, "choices", (False, True))
            point += [float(type(value) is type(choice) and value == choice) for choice in choices]
    return point


def _gap(parameter: Parameter, here: FlagValue | None, there: FlagValue | None) -> float | None:
    """Return how much larger a range's value is here than there, in shares; None where there is no such thing."""
    one, other = _number(here), _number(there)
    if not isinstance(parameter, IntParameter | FloatParameter) or one is None or other is None:
        return None
    return share_of(parameter, one) - share_of(parameter, other)


def _number(value: FlagValue | None) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _words(kind: FailureKind | None, count: int) -> str:
    words = _WORDS.get(kind, "failed") if kind else "failed"
    return words if count > 1 else words.replace("were ", "was ")


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
