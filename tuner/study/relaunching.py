"""One more launch of a measured trial's configuration, for its own sake: what Optuna was told stands.

Owns what is told of it and that the history knows it afterwards. When and why is asked of it elsewhere.
"""

from collections.abc import Callable

from tuner.domain.events import MeasuredAgain, Observer, Relaunched
from tuner.domain.failure import Failure
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Purpose, Trial
from tuner.study.attempts import Attempts
from tuner.study.history import History
from tuner.study.point import Assignment, Search


class Relaunching:
    """Launches trials of one study again."""

    def __init__(
        self, attempts: Attempts, history: History, notify: Observer, *, failed: Callable[[Failure], None]
    ) -> None:
        """Take what the study's loop has, and who is told of a failure: it may end the study by raising."""
        self._attempts = attempts
        self._history = history
        self._notify = notify
        self._failed = failed

    async def launch(
        self, trial: Trial, purpose: Purpose, *, before: Capacity | None, search: Search | None = None
    ) -> None:
        """Launch, measure and tell.

        Args:
            trial: A measured one.
            purpose: What for.
            before: What it is compared with in what is told.
            search: A search to go on with, instead of one from the beginning.
        """

        def announce(attempt: int) -> None:
            self._notify(Relaunched(trial.number, purpose, trial.flags, attempt))

        assignment = Assignment(trial.id, trial.number, trial.flags, purpose=purpose, search=search)
        outcome = await self._attempts.measure(assignment, announce)
        self._history.refresh(trial.number)
        if isinstance(outcome, Failure):
            self._notify(MeasuredAgain(trial.number, purpose, None, before, outcome))
            self._failed(outcome)
        else:
            self._notify(MeasuredAgain(trial.number, purpose, outcome.capacity, before))
