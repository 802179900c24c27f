"""Load points that stored measurements lack: the search of a finished trial, gone on with under other SLOs.

Owns which trials are worth it. Which rates come next is the search's own business (`tuner.metrics.search`), from the
evidence that stored request records are under these SLOs.
"""

from collections.abc import Sequence

from tuner.analysis import confirmation
from tuner.analysis.contender import Contender
from tuner.domain.slo import Slo
from tuner.domain.study import StudySpec
from tuner.domain.trial import Purpose, TrialRole
from tuner.store.reader import Reader
from tuner.study.answer import HEADROOM, contenders
from tuner.study.history import History
from tuner.study.point import Search
from tuner.study.rejudge import evidence_so_far
from tuner.study.relaunching import Relaunching


class Refining:
    """Goes on with the searches of one study's best trials."""

    def __init__(self, spec: StudySpec, relaunching: Relaunching, history: History, reader: Reader) -> None:
        """Take what the study's loop has, and where request records are read."""
        self._spec = spec
        self._relaunching = relaunching
        self._history = history
        self._reader = reader

    async def refine(self, slos: Sequence[Slo]) -> int:
        """Launch the best trials and the baseline whose capacity under these SLOs is open; return how many there were.

        Trials whose request records were pruned are left out: nothing is known that a search could go on from.
        """
        launched = 0
        for one in self._open(slos):
            found = evidence_so_far(one.trial, slos, self._reader)
            if found is not None:
                search = Search(tuple(slos), found)
                await self._relaunching.launch(one.trial, Purpose.REFINE, before=one.capacity, search=search)
                launched += 1
        return launched

    def _open(self, slos: Sequence[Slo]) -> list[Contender]:
        among = contenders(self._history.trials, self._spec, slos, self._reader)
        most = self._spec.repeats.finalists
        best = confirmation.finalists(among, self._spec.target_rps, HEADROOM, slos, most)
        wanted = [one for one in among if one.trial.role is TrialRole.BASELINE or one.trial.number in best]
        return [one for one in wanted if one.undecided is not None]
