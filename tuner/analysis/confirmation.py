"""Whether what a study's search found stands when it is measured again: who is to be, and the verdict. Pure.

Finalists and vLLM's defaults are launched again by turns; those launches chose nothing, so they flatter nothing. The
choice is then theirs alone. Launching is `tuner.study`'s; this module judges what is there, and says what is not.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from tuner.analysis.contender import Contender, baseline_of
from tuner.analysis.normal import Z90
from tuner.analysis.ties import Race, leader, race, worse
from tuner.domain.base import Frozen
from tuner.domain.slo import Slo
from tuner.domain.units import bounds_text

NEGLIGIBLE = 1.05
"""A gain that is smaller than this with 95 % confidence is none: the tolerance that capacities are searched to."""
_FEWEST = 2
"""Launches of one configuration, fewer of which tell nothing of how much launches differ."""
_MOST_REPEATS = 50


class Status(StrEnum):
    """What the repeated launches say of the answer."""

    UNCONFIRMED = "unconfirmed"
    """It was not measured again."""
    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    """Another finalist is better than the one that the search named, or its gain is not there."""
    INCONCLUSIVE = "inconclusive"
    """Too few repeats."""


class Repeated(Frozen):
    """What the repeated launches of one configuration say together."""

    trial: int
    launches: int
    rps: float
    lower_rps: float
    """Lower end of the 90 % interval."""
    upper_rps: float | None
    """Upper end; None where no measured rate broke."""


class Confirmation(Frozen):
    """The verdict on a study's answer."""

    status: Status
    launches: int
    """Fewest launches that any of the compared had; 0 where there were none."""
    text: str
    """The verdict in one plain sentence."""
    command: str = ""
    """What would confirm it, or settle it; empty where nothing is needed."""
    named_before: int | None = None
    """The trial that the search alone named."""
    repeated: tuple[Repeated, ...] = ()


def finalists(
    contenders: Sequence[Contender], target_rps: float, headroom: float, slos: Sequence[Slo], most: int
) -> tuple[int, ...]:
    """Return the numbers of the trials that deserve to be measured again: the named one and its ties, best first.

    The defaults are left out, since they are measured beside them in any case; where they are clearly best, the next
    best is one. Repeats don't count, so that a confirmation that was cut short goes on with the same trials.
    """
    if not contenders:
        return ()
    run = race(contenders, target_rps, headroom, slos)
    return _finalists(before(run, target_rps, headroom, slos), most)


def _finalists(searched: Race, most: int) -> tuple[int, ...]:
    contenders, tied = searched.contenders, set(searched.tied)
    others = [place for place, one in enumerate(contenders) if not one.is_baseline]
    ties = [place for place in others if place in tied]
    queue = ties or others
    chosen = [searched.named] if searched.named in queue else []
    wanted = min(most, len(ties) or 1, len(queue))
    while len(chosen) < wanted:
        left = [place for place in queue if place not in chosen]
        chosen.append(left[leader(searched.everyone.only(left))])
    return tuple(contenders[place].trial.number for place in chosen[:wanted])


def before(run: Race, target_rps: float, headroom: float, slos: Sequence[Slo]) -> Race:
    """Return the same choice by the search alone, as if nothing had been launched again."""
    if not any(one.repeats for one in run.contenders):
        return run
    searched = [replace(one, repeats=(), repeated_points=()) for one in run.contenders]
    return race(searched, target_rps, headroom, slos)


def verdict(
    contenders: Sequence[Contender], target_rps: float, headroom: float, slos: Sequence[Slo], most: int = 3
) -> Confirmation:
    """Return what the repeated launches say of the answer to a question.

    Args:
        contenders: Every measured trial, with its repeats; at least one.
        target_rps: Requests per second.
        headroom: How many times the target rate must be sustained.
        slos: What they were judged by.
        most: How many finalists are proposed where none was measured again.
    """
    run = race(contenders, target_rps, headroom, slos)
    return verdict_on(run, before(run, target_rps, headroom, slos), most)


def verdict_on(run: Race, searched: Race, most: int = 3) -> Confirmation:
    """Return what the repeated launches say of a choice, beside the choice by the search alone."""
    return _Judged(run, searched, most).verdict(run.contenders[run.named])


class _Judged:
    """A study's answer, held against repeated launches."""

    def __init__(self, run: Race, searched: Race, most: int) -> None:
        self.among, self.found = [run.contenders[place] for place in run.among], run.found
        self.named = searched.contenders[searched.named].trial.number
        self.due = _finalists(searched, most)
        self.baseline = baseline_of(self.among)

    def verdict(self, chosen: Contender) -> Confirmation:
        if not chosen.repeats:
            return Confirmation(
                status=Status.UNCONFIRMED,
                launches=0,
                text="Not confirmed: it was measured by one launch, and chosen by it.",
                command=self._command(self.due),
            )
        if self.baseline is not None and not self.baseline.repeats:
            return self._said(Status.INCONCLUSIVE, "vLLM's defaults were not measured again beside it")
        fewest = min(len(one.repeats) for one in self._compared(chosen))
        if fewest < _FEWEST:
            return self._said(Status.INCONCLUSIVE, "a single launch tells nothing of how much launches differ", 5)
        return self._overtaken() or self._of(chosen)

    def _compared(self, chosen: Contender) -> list[Contender]:
        return [chosen] if self.baseline is None else [chosen, self.baseline]

    def _overtaken(self) -> Confirmation | None:
        """Return the verdict where the one that the search named is told apart from a better one."""
        best = leader(self.found)
        place = self._place(self.named)
        if place is None or place == best or not worse(self.found, best)[place]:
            return None
        other = self._name(self.among[best])
        return self._said(
            Status.CONTRADICTED,
            f"the search named {self._name(self.among[place])}, but {other} is better: {self._sums()}",
        )

    def _of(self, chosen: Contender) -> Confirmation:
        place = self.among.index(chosen)
        if self.found.sustaining.any() and not self._sustains(place):
            return self._said(
                Status.INCONCLUSIVE, f"whether it sustains what is wanted is within noise: {self._sums()}", 0
            )
        if self.baseline is None:
            return self._said(Status.CONFIRMED, self._sums())
        if chosen.is_baseline:
            return self._defaults(place)
        base = self.among.index(self.baseline)
        if worse(self.found, place)[base]:
            return self._said(Status.CONFIRMED, self._sums())
        return self._no_gain(place, base)

    def _sustains(self, place: int) -> bool:
        found = self.found
        return bool(found.log[place] - Z90 * math.sqrt(found.variance[place]) >= found.needed)

    def _defaults(self, base: int) -> Confirmation:
        """Return the verdict where the defaults are the answer."""
        rivals = [place for place in range(len(self.among)) if place != base]
        named = self._place(self.named)
        if named is not None and named != base:
            return self._no_gain(named, base)
        widest = max((self._gain(place, base)[1] for place in rivals), default=0.0)
        decided = worse(self.found, base)[rivals].all() or widest <= math.log(NEGLIGIBLE)
        if decided or self.found.sustaining[base]:
            return self._said(
                Status.CONFIRMED, f"nothing that was measured again beats vLLM's defaults: {self._sums()}"
            )
        return self._undecided(max(rivals, key=lambda place: self._gain(place, base)[1]), base)

    def _no_gain(self, place: int, base: int) -> Confirmation:
        """Return the verdict where one can't be told apart from the defaults."""
        if self._gain(place, base)[1] <= math.log(NEGLIGIBLE) and not self.found.sustaining.any():
            what = f"{self._name(self.among[place])} gains at most {NEGLIGIBLE - 1:.0%} over vLLM's defaults"
            return self._said(Status.CONTRADICTED, f"{what}: {self._sums()}")
        return self._undecided(place, base)

    def _undecided(self, place: int, base: int) -> Confirmation:
        estimate, upper = self._gain(place, base)
        name = self._name(self.among[place])
        if self.found.sustaining.any() or not math.isfinite(estimate):
            what = f"{name} and vLLM's defaults can't be told apart by what decides here"
            return self._said(Status.INCONCLUSIVE, f"{what}: {self._sums()}")
        width = upper - estimate
        have = min(len(self.among[at].repeats) for at in (place, base))
        needed = have * (width / max(abs(estimate), math.log(NEGLIGIBLE) / 2)) ** 2
        repeats = min(max(math.ceil(needed), have + 2), _MOST_REPEATS)
        return self._said(
            Status.INCONCLUSIVE,
            f"too few repeats: {_launches(have)} each tell {name} from vLLM's defaults to ±{width:.0%}, "
            f"and they differ by {abs(estimate):.0%}",
            repeats,
        )

    def _gain(self, place: int, base: int) -> tuple[float, float]:
        """Return the logarithm of a gain over the defaults, and the upper end of its interval."""
        found = self.found
        if not found.held[base] or found.is_open[place]:
            return math.inf, math.inf
        estimate = float(found.log[place] - found.log[base])
        return estimate, estimate + Z90 * math.sqrt(found.variance[place] + found.variance[base])

    def _place(self, number: int) -> int | None:
        return next((place for place, one in enumerate(self.among) if one.trial.number == number and one.repeats), None)

    def _name(self, one: Contender) -> str:
        return "vLLM's defaults" if one.is_baseline else f"trial {one.trial.number}"

    def _said(self, status: Status, text: str, repeats: int = 0) -> Confirmation:
        again = [one for one in self.among if one.repeats]
        fewest = min((len(one.repeats) for one in again), default=0)
        numbers = [one.trial.number for one in again if not one.is_baseline]
        lead = {Status.CONFIRMED: f"Confirmed by {_launches(fewest)} each"}.get(status, status.capitalize())
        return Confirmation(
            status=status,
            launches=fewest,
            text=f"{lead}: {text}.",
            command=self._command(numbers, repeats) if status is Status.INCONCLUSIVE else "",
            named_before=self.named,
            repeated=tuple(self._repeated(one) for one in again),
        )

    def _sums(self) -> str:
        """Return what the repeated launches of each say together."""
        again = [one for one in self.among if one.repeats]
        sums = [(self._name(one), self._repeated(one)) for one in again]
        return ", ".join(f"{name} {bounds_text(one.rps, one.lower_rps, one.upper_rps)}" for name, one in sums)

    def _repeated(self, one: Contender) -> Repeated:
        place = self.among.index(one)
        found, deviation = self.found, math.sqrt(self.found.variance[place])
        log = float(found.log[place])
        held = bool(found.held[place])
        return Repeated(
            trial=one.trial.number,
            launches=len(one.repeats),
            rps=math.exp(log) if held else 0.0,
            lower_rps=math.exp(log - Z90 * deviation) if held else 0.0,
            upper_rps=None if found.is_open[place] else math.exp(log + Z90 * deviation if held else log),
        )

    def _command(self, numbers: Sequence[int], repeats: int = 0) -> str:
        if not numbers:
            return ""
        return f"tuner confirm {' '.join(map(str, numbers))}{f' --repeats {repeats}' if repeats else ''}"


def _launches(count: int) -> str:
    return "1 launch" if count == 1 else f"{count} launches"
