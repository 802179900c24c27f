"""Launches of one configuration until one of them brings figures, or fails in a way that another would not mend.

Owns the bound on retries and the numbering of a trial's launches. Knows neither Optuna nor what the figures mean.
"""

from collections.abc import Callable
from dataclasses import replace

from tuner.domain.errors import LaunchError
from tuner.domain.events import Observer, TrialRetried
from tuner.domain.failure import Failure, FailureKind
from tuner.store.reader import Reader
from tuner.study.point import Assignment
from tuner.study.trial import Measured, TrialRunner

ATTEMPTS = 3
"""Launches that a configuration may have in a row before a failure of the surroundings is accepted."""
_RETRIED = frozenset(
    {
        FailureKind.PORT_IN_USE,
        FailureKind.GPU_BUSY,
        FailureKind.CUDA_ERROR,
        FailureKind.COMPILE_CACHE,
        FailureKind.CLIENT_FAILED,
    }
)


class Attempts:
    """Measures configurations of one study, each with a bounded number of launches."""

    def __init__(self, runner: TrialRunner, reader: Reader, study_id: int, notify: Observer) -> None:
        """Take who measures, where launches are stored, and who is told of a retry."""
        self._runner = runner
        self._reader = reader
        self._study_id = study_id
        self._notify = notify

    async def measure(self, wanted: Assignment, announce: Callable[[int], None]) -> Measured | Failure:
        """Launch until there are figures, or a failure that another launch would not change.

        Args:
            wanted: What to measure; its attempt and first index are found here.
            announce: Told the number of every launch before it starts.
        """
        for launch in range(1, ATTEMPTS + 1):
            assignment = self._numbered(wanted, retried=launch > 1)
            announce(assignment.attempt)
            try:
                return await self._runner.measure(assignment)
            except LaunchError as error:
                if error.failure.kind not in _RETRIED or launch == ATTEMPTS:
                    return error.failure
                self._notify(TrialRetried(wanted.number, error.failure))
        raise AssertionError("the last attempt returns")

    def _numbered(self, wanted: Assignment, *, retried: bool) -> Assignment:
        """Return the assignment, counted on from the launches and load points that the trial has."""
        stored = self._reader.trial(self._study_id, wanted.number)
        launches, points = (len(stored.launches), len(stored.load_points)) if stored else (0, 0)
        return replace(wanted, attempt=launches + 1, first_index=points, retried=retried)
