"""What of a study is due to be measured again, and in which order.

Owns the policy: a drift check every so many trials, and at the end the finalists and the baseline by turns. Pure: what
was measured is handed in, launching is `tuner.study.repeating`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.analysis.drift import drift
from tuner.domain.study import Repeats
from tuner.domain.trial import Purpose, Trial, measured_baseline

_SHARE = 4
"""Confirming takes at most one launch for so many of trials."""


@dataclass(frozen=True, slots=True)
class Again:
    """A trial to be launched again."""

    number: int
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Rounds:
    """How large a confirmation is: each round launches every finalist and the baseline once."""

    finalists: int
    rounds: int

    @property
    def launches(self) -> int:
        """How many launches it takes."""
        return (self.finalists + 1) * self.rounds if self.finalists else 0


def drift_due(trials: Sequence[Trial], every: int | None) -> Again | None:
    """Return the baseline when it is time to measure it again, or when its last check is in doubt."""
    found = drift(trials)
    if every is None or found is None or not (found.since >= every or found.doubtful):
        return None
    return Again(baseline(trials).number, Purpose.DRIFT)


def baseline(trials: Sequence[Trial]) -> Trial:
    """Return the measured trial of vLLM's defaults.

    Raises:
        LookupError: there is none.
    """
    found = measured_baseline(trials)
    if found is None:
        raise LookupError("no measured baseline")
    return found


def affordable(repeats: Repeats, launched: int) -> Rounds:
    """Return how large a confirmation a study with so many launched trials can have: rounds go before finalists."""
    most = launched // _SHARE
    rounds = min(repeats.confirm, most // 2)
    return Rounds(min(repeats.finalists, most // rounds - 1) if rounds else 0, rounds)


def confirmation(trials: Sequence[Trial], finalists: Sequence[int], rounds: int) -> tuple[Again, ...]:
    """Return the launches that a confirmation still needs, interleaved: every other round runs backwards.

    What drifts over the night then weighs on all of them alike. Failed launches count, so that what fails again and
    again is not launched for ever; interrupted ones don't.

    Args:
        trials: The study's.
        finalists: Numbers of measured trials, the baseline left out.
        rounds: How many launches each of them and the baseline should have.
    """
    by_number = {trial.number: trial for trial in trials}
    forward = [baseline(trials).number, *finalists]
    return tuple(
        Again(number, Purpose.CONFIRM)
        for round_ in range(rounds)
        for number in (forward if round_ % 2 == 0 else forward[::-1])
        if _tried(by_number[number]) <= round_
    )


def _tried(trial: Trial) -> int:
    return sum(not launch.was_interrupted for launch in trial.launches_for(Purpose.CONFIRM))
