"""When a study ends. Pure: the time of day and the clock's reading are handed in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tuner.domain.study import Budget
from tuner.domain.trial import Trial


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a budget."""

    trials: float
    """Trials still to finish; infinity without a bound."""
    seconds: float
    """Seconds still to spend; infinity without a bound."""

    def ends(self, typical_trial: float, *, reserved: float = 0.0) -> str | None:
        """Return why no further trial should start, in words; None while one should.

        Args:
            typical_trial: Seconds that a trial takes: one that would not fit is not started.
            reserved: Seconds that are kept for measuring finalists again.
        """
        if self.trials <= 0:
            return "the budget of trials is used up"
        if self.seconds <= 0:
            return "the time is up"
        if self.seconds < typical_trial + reserved:
            kept = f", {reserved:.0f} s of them to confirm the best" if reserved else ""
            return f"a trial takes about {typical_trial:.0f} s and {self.seconds:.0f} s are left{kept}"
        return None


def counted(trials: Sequence[Trial]) -> int:
    """Return how many trials count against the budget."""
    return sum(trial.state.is_counted for trial in trials)


def spent_seconds(trials: Sequence[Trial]) -> float:
    """Return the seconds that the stored trials took, interrupted ones and what was measured again included."""
    return sum((trial.seconds or 0.0) + trial.seconds_later for trial in trials)


def typical_trial(trials: Sequence[Trial]) -> float:
    """Return how long a trial takes: the longest of the last five that counted, 0 before the first."""
    durations = [trial.seconds for trial in trials if trial.state.is_counted]
    return max((duration for duration in durations[-5:] if duration is not None), default=0.0)


def deadline(budget: Budget, *, now: datetime, spent: float) -> datetime | None:
    """Return when the study ends by the clock, None without a bound in time.

    Args:
        budget: `hours` are hours of trials, time between sessions left out; `until` is the next such time of day.
        now: The local time, aware.
        spent: Seconds that earlier sessions of this study took.
    """
    ends: list[datetime] = []
    if budget.hours is not None:
        ends.append(now + timedelta(seconds=budget.hours * 3600 - spent))
    if budget.until is not None:
        ends.append(_next(budget.until, now))
    return min(ends, default=None)


def allowance(budget: Budget, *, now: datetime, ends: datetime | None, finished: int) -> Allowance:
    """Return what is left.

    Args:
        budget: The study's budget.
        now: The local time, aware.
        ends: What `deadline` said when this session began.
        finished: How many trials count so far.
    """
    trials = math.inf if budget.trials is None else budget.trials - finished
    seconds = math.inf if ends is None else (ends - now).total_seconds()
    return Allowance(trials, seconds)


def _next(time_of_day: str, now: datetime) -> datetime:
    hour, minute = (int(part) for part in time_of_day.split(":"))
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)
