"""Why a configuration is named, in two plain sentences: which limit binds, and what the others lost. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from tuner.analysis.contender import Use, use_at
from tuner.analysis.ties import Race, leader
from tuner.domain.flags import Flags, format_value
from tuner.domain.measurement import Capacity
from tuner.domain.slo import Slo
from tuner.domain.units import format_ms

_LISTED = 6
"""Trials that are listed by number, at the most."""
_QUEUE, _FAILURES = "queue", "failures"
_SAME = 0.005


def why(race: Race, capacities: Mapping[int, Capacity], *, target_rps: float, slos: Sequence[Slo]) -> tuple[str, str]:
    """Return which limit binds the named contender, and what the others lost.

    Args:
        race: The choice.
        capacities: Capacities as they are told, by place; those of the others are the contenders' own.
        target_rps: Requests per second.
        slos: What they were judged by.
    """
    told = _Told(race, capacities, target_rps, {slo.name: slo for slo in slos})
    others = "; ".join(told.others(race.named))
    return told.binds(race.named), f"{others[:1].upper()}{others[1:]}."


class _Told:
    """Words about contenders by their places."""

    def __init__(
        self, race: Race, capacities: Mapping[int, Capacity], target_rps: float, slos: Mapping[str, Slo]
    ) -> None:
        self.race, self.found = race, race.everyone
        self.capacities = capacities
        self.target_rps, self.slos = target_rps, slos

    def binds(self, place: int) -> str:
        """Return the first sentence."""
        capacity, use = self._capacity(place), self._use(place)
        at = use.rate if use else None
        share = f"; at {at:.3g} req/s it uses {_use_text(use)}" if use and at else ""
        if capacity.rps <= 0:
            return f"No measured rate held: {self._limit(capacity)} at the lowest one already{share}."
        if capacity.upper_rps is None:
            return f"No measured rate broke a limit, up to {capacity.rps:.3g} req/s{share}."
        return f"Above about {capacity.rps:.3g} req/s {self._limit(capacity)} first{share}."

    def others(self, place: int) -> Iterator[str]:
        """Yield what there is to say of the others."""
        everyone = self.race.contenders
        ties = [other for other in self.race.tied if other != place]
        taken = {place, *ties}
        left = [other for other in range(len(everyone)) if other not in taken]
        baseline = next((other for other in left if everyone[other].is_baseline), None)
        if ties:
            yield f"{self._names(ties)} can't be told apart from it within noise: {self._breaks(place, ties)}"
        elif left:
            rival = left[leader(self.found.only(left))]
            yield f"the next best, {self._name(rival)}, {self._loss(rival, place)}"
            baseline = None if rival == baseline else baseline
        if baseline is not None:
            yield f"vLLM's defaults {self._loss(baseline, place)}"
        if len(everyone) == 1:
            yield "nothing else was measured"

    def _breaks(self, place: int, ties: Sequence[int]) -> str:
        """Return why this one is named and not one of its ties."""
        changed = self.found.changed
        if all(changed[place] < changed[other] for other in ties):
            return "it changes the fewest flags"
        if place == self.race.best:
            return "it measured best, and none as good changes fewer flags"
        return "of those that measured about as well it changes the fewest flags, or came first"

    def _names(self, places: Sequence[int]) -> str:
        numbers = sorted(self.race.contenders[place].trial.number for place in places)
        if len(numbers) == 1:
            return f"trial {numbers[0]}"
        if len(numbers) > _LISTED:
            return f"{len(numbers)} other trials"
        return f"trials {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"

    def _name(self, place: int) -> str:
        one = self.race.contenders[place]
        flags = "vLLM's defaults" if not one.trial.flags else changed_text(one.trial.flags)
        return f"trial {one.trial.number} ({flags})"

    def _loss(self, place: int, best: int) -> str:
        """Return what one lost against the named one."""
        mine, theirs = self._capacity(best), self._capacity(place)
        sustaining = self.found.sustaining
        slower, faster = self._use(place), self._use(best)
        if sustaining[place] and slower and faster:
            return f"used {_use_text(slower)} at the target, against {faster.share:.0%}"
        if theirs.rps <= 0:
            return f"held no measured rate: {self._limit(theirs)}"
        change = theirs.rps / mine.rps - 1 if mine.rps > 0 else 0.0
        amount = f"{-change:.0%} less" if change < -_SAME else f"{change:.0%} more" if change > _SAME else "as much"
        limit = f": {self._limit(theirs)} first" if theirs.upper_rps is not None else ""
        return f"sustained {amount}{limit}"

    def _limit(self, capacity: Capacity) -> str:
        slo = self.slos.get(capacity.limited_by)
        if slo is not None:
            return f"{slo_text(slo)} breaks its limit of {format_ms(slo.limit)}"
        return {_QUEUE: "its queue grows", _FAILURES: "too many requests fail"}.get(
            capacity.limited_by, "a limit breaks"
        )

    def _capacity(self, place: int) -> Capacity:
        return self.capacities.get(place, self.race.contenders[place].capacity)

    def _use(self, place: int) -> Use | None:
        return use_at(self.race.contenders[place], self.target_rps, tuple(self.slos.values()))


def slo_text(slo: Slo) -> str:
    """Return what an SLO limits: `TTFT p95`."""
    return f"{slo.latency.upper()} {slo.percentile}"


def changed_text(flags: Flags) -> str:
    """Return changed flags as the user spells them: `max-num-seqs 64, enforce-eager`."""
    return ", ".join(
        f"{'' if value else 'no-'}{name}" if isinstance(value, bool) else f"{name} {_value_text(value)}"
        for name, value in flags.items()
    )


def _value_text(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else format_value(value)


def _use_text(use: Use) -> str:
    return f"{use.share:.0%} of its {slo_text(use.slo)} limit ({format_ms(use.seconds)} of {format_ms(use.slo.limit)})"
