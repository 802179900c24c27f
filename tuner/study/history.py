"""The stored trials of one study: read once, and each again when it changed.

A night of hundreds of trials would otherwise be read and validated whole after every one of them.
"""

from tuner.domain.trial import Trial
from tuner.store.reader import Reader


class History:
    """What the result file holds of a study, as of the last reading."""

    def __init__(self, reader: Reader, study_id: int) -> None:
        """Read it for the first time."""
        self._reader = reader
        self._study_id = study_id
        self._trials: dict[int, Trial] = {}
        self.reload()

    def reload(self) -> None:
        """Read all of the study's trials anew."""
        self._trials = {trial.number: trial for trial in self._reader.trials(self._study_id)}

    def refresh(self, number: int) -> Trial:
        """Read one trial anew, a new one among them, and return it.

        Raises:
            LookupError: there is none of this number.
        """
        found = self._reader.trial(self._study_id, number)
        if found is None:
            raise LookupError(f"no trial {number} is stored")
        self._trials[number] = found
        return found

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of them, by number."""
        return tuple(self._trials.values())

    def trial(self, number: int) -> Trial:
        """Return one.

        Raises:
            KeyError: there is none of this number.
        """
        return self._trials[number]
