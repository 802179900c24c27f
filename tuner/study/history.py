"""The stored trials of one study, read again after every change."""

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
        """Read the study's trials anew."""
        self._trials = {trial.number: trial for trial in self._reader.trials(self._study_id)}

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
