"""The head start: the planner's starting values for the target, twice and half of it, as a study's next trials.

Calculated once, after trial 0, whose launch corrects the sum. Where nothing can be calculated, a line says why.
"""

from collections.abc import Sequence

from tuner.domain.errors import InputError
from tuner.domain.events import Noted, Observer
from tuner.domain.flags import Flags, FlagValue
from tuner.domain.space import SearchSpace
from tuner.domain.trial import Trial, TrialRole, TrialState
from tuner.study.arithmetic import Arithmetic
from tuner.study.given import fitted

Suggestions = tuple[dict[str, FlagValue], ...]


class HeadStart:
    """A study's suggestions. Asked again and again, it calculates once and says what it found once."""

    def __init__(self, space: SearchSpace, fixed: Flags, arithmetic: Arithmetic | str, notify: Observer) -> None:
        """Take what is tuned, the flags of every launch, the arithmetic or why there is none, and who is told."""
        self._space = space
        self._fixed = fixed
        self._arithmetic = arithmetic
        self._notify = notify
        self._found: Suggestions | None = None

    def __call__(self, history: Sequence[Trial]) -> Suggestions:
        """Return the configurations, those of an earlier session first; none once the sampler has begun.

        Args:
            history: the study's trials so far; trial 0 is measured.
        """
        if any(trial.role is TrialRole.SAMPLED for trial in history):
            return ()
        done = tuple(trial.flags for trial in history if _is_done(trial))
        if self._found is None:
            self._found = self._calculated(history)
        new = tuple(flags for flags in self._found if flags not in done)
        # A machine is measured a little differently each time: a second session makes up the number, not the values.
        return (*done, *new[: max(len(self._found) - len(done), 0)])

    def _calculated(self, history: Sequence[Trial]) -> Suggestions:
        if isinstance(self._arithmetic, str):
            return self._none(self._arithmetic)
        baseline = [trial for trial in history if trial.role is TrialRole.BASELINE]
        try:
            suggestions = self._arithmetic.suggestions(baseline)
        except InputError as error:
            return self._none(error.what)
        if not suggestions:
            return self._none("by its sum the model does not fit, though it ran")
        found = fitted(self._space, self._fixed, suggestions)
        return found or self._none(f"the search space tunes none of {', '.join(suggestions[0])}")

    def _none(self, why: str) -> Suggestions:
        self._notify(Noted(f"no head start: {why}"))
        return ()


def _is_done(trial: Trial) -> bool:
    return trial.role is TrialRole.SUGGESTED and trial.state is not TrialState.INTERRUPTED
