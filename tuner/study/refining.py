"""Load points that stored measurements lack: the search of a finished trial, gone on with under other SLOs.

Owns which trials are worth it. Which rates come next is the search's own business (`tuner.metrics.search`), from the
evidence that stored request records are under these SLOs.
"""

from collections.abc import Callable, Sequence

from tuner.analysis import confirmation
from tuner.analysis.contender import Contender
from tuner.domain.events import MeasuredAgain, Observer, Relaunched
from tuner.domain.failure import Failure
from tuner.domain.slo import Slo
from tuner.domain.study import StudySpec
from tuner.domain.trial import Purpose, TrialRole
from tuner.store.reader import Reader
from tuner.study.answer import HEADROOM, contenders
from tuner.study.attempts import Attempts
from tuner.study.history import History
from tuner.study.point import Assignment, Search
from tuner.study.rejudge import evidence_so_far


class Refining:
    """Goes on with the searches of one study's best trials."""

    def __init__(
        self,
        spec: StudySpec,
        attempts: Attempts,
        history: History,
        reader: Reader,
        notify: Observer,
        *,
        failed: Callable[[Failure], None],
    ) -> None:
        """Take what the study's loop has, and who is told of a failure: it may end the study by raising."""
        self._spec = spec
        self._attempts = attempts
        self._history = history
        self._reader = reader
        self._notify = notify
        self._failed = failed

    async def refine(self, slos: Sequence[Slo]) -> int:
        """Launch the best trials and the baseline whose capacity under these SLOs is open; return how many there were.

        Trials whose request records were pruned are left out: nothing is known that a search could go on from.
        """
        launched = 0
        for one in self._open(slos):
            found = evidence_so_far(one.trial, slos, self._reader)
            if found is not None:
                await self._launch(one, Search(tuple(slos), found))
                launched += 1
        return launched

    def _open(self, slos: Sequence[Slo]) -> list[Contender]:
        among = contenders(self._history.trials, self._spec, slos, self._reader)
        most = self._spec.repeats.finalists
        best = confirmation.finalists(among, self._spec.target_rps, HEADROOM, slos, most)
        wanted = [one for one in among if one.trial.role is TrialRole.BASELINE or one.trial.number in best]
        return [one for one in wanted if one.undecided is not None]

    async def _launch(self, one: Contender, search: Search) -> None:
        trial = one.trial

        def announce(attempt: int) -> None:
            self._notify(Relaunched(trial.number, Purpose.REFINE, trial.flags, attempt))

        assignment = Assignment(trial.id, trial.number, trial.flags, purpose=Purpose.REFINE, search=search)
        outcome = await self._attempts.measure(assignment, announce)
        self._history.refresh(trial.number)
        failure = outcome if isinstance(outcome, Failure) else None
        capacity = None if isinstance(outcome, Failure) else outcome.capacity
        self._notify(MeasuredAgain(trial.number, Purpose.REFINE, capacity, one.capacity, failure))
        if failure is not None:
            self._failed(failure)
