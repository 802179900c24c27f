"""Launches of measured configurations for their own sake: drift checks, and the confirmation of finalists.

Owns when they happen; what is due, `tuner.study.repeats` says.
"""

import math
from collections.abc import Callable, Sequence
from datetime import datetime

from tuner.domain.study import StudySpec
from tuner.domain.trial import Purpose
from tuner.study.budget import counted, typical_trial
from tuner.study.finalists import finalists
from tuner.study.history import History
from tuner.study.relaunching import Relaunching
from tuner.study.repeats import Again, affordable, confirmation, drift_due


class Repeating:
    """Measures trials of one study again."""

    def __init__(
        self,
        spec: StudySpec,
        relaunching: Relaunching,
        history: History,
        *,
        now: Callable[[], datetime],
    ) -> None:
        """Take what the study's loop has."""
        self._spec = spec
        self._relaunching = relaunching
        self._history = history
        self._now = now

    def still_to_confirm(self) -> int:
        """Return how many launches are to be kept for confirming."""
        trials = self._history.trials
        size = affordable(self._spec.repeats, counted(trials))
        return max(size.launches - sum(len(one.launches_for(Purpose.CONFIRM)) for one in trials), 0)

    async def check_drift(self, ends: datetime | None) -> None:
        """Measure the baseline again when it is due and fits into the time."""
        await self._check_drift(self._spec.repeats.drift_every, ends)

    async def close(self, ends: datetime | None) -> None:
        """Confirm the finalists of a study, and look for a drift since the last check, as far as the time allows."""
        size = affordable(self._spec.repeats, counted(self._history.trials))
        if size.launches:
            for again in self._confirmation(finalists(self._history.trials, self._spec, size.finalists), size.rounds):
                await self._in_time(again, ends)
        await self._check_drift(self._spec.repeats.drift_every and 1, ends)

    async def confirm(self, numbers: Sequence[int], rounds: int) -> int:
        """Measure trials and the baseline again until each has so many launches for it; return how many were added."""
        chosen = numbers or finalists(self._history.trials, self._spec, self._spec.repeats.finalists)
        due = self._confirmation(chosen, rounds)
        for again in due:
            await self._launch(again)
        return len(due)

    def _confirmation(self, numbers: Sequence[int], rounds: int) -> tuple[Again, ...]:
        return confirmation(self._history.trials, numbers, rounds) if numbers else ()

    async def _check_drift(self, every: int | None, ends: datetime | None) -> None:
        while (due := drift_due(self._history.trials, every)) is not None:
            if not await self._in_time(due, ends):
                return

    async def _in_time(self, again: Again, ends: datetime | None) -> bool:
        """Launch a trial again if that should fit into the time; return whether it was."""
        left = math.inf if ends is None else (ends - self._now()).total_seconds()
        if left < typical_trial(self._history.trials):
            return False
        await self._launch(again)
        return True

    async def _launch(self, again: Again) -> None:
        trial = self._history.trial(again.number)
        await self._relaunching.launch(trial, again.purpose, before=trial.capacity)
