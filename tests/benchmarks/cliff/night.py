"""A study on a synthetic cliff: the real proposer and the real limits, launches that take no time."""

from enum import StrEnum
from typing import NamedTuple

import numpy as np

from tests.benchmarks.cliff.cliffs import Cliff, cliff, flags_at, shares, spec
from tuner.domain.flags import FlagValue
from tuner.domain.study import StudySpec
from tuner.proposal.proposer import Proposal, Proposer, rehearsal
from tuner.space.learned import Ended, Limits

_NOISE = 0.01
"""Standard deviation of a measured loss."""
_CONSTANT = 10.0
_OBJECTIVE = "ttft_p95"


class Way(StrEnum):
    """What becomes of a launch that fails."""

    NAIVE = "told as FAIL"
    """Which Optuna's samplers never read."""
    CONSTANT = "constant violation"
    LEARNED = "learned limits"
    """Graded violations, and proposals that would probably fail are not launched."""


class Night(NamedTuple):
    """What a study came to."""

    crashes: float
    """Failed launches over launches."""
    crashes_later: float
    """The same, after trial 0 and the random start."""
    regret: float
    """How much worse the best found is than the best there is."""
    refused: int
    """Proposals that were not launched."""


class _Study:
    """One study as it goes on."""

    def __init__(self, problem: Cliff, way: Way, study: StudySpec) -> None:
        self.problem, self.way, self.study = problem, way, study
        self.proposer: Proposer = rehearsal(study, after=0)
        self.ended: list[Ended] = []
        self.losses: list[float] = []
        self.in_a_row = self.refused = 0
        self.noise = np.random.default_rng(study.sampler.seed)

    def limits(self) -> Limits:
        """What has been learned so far."""
        return Limits(self.study.search_space, tuple(self.ended))

    def first(self) -> None:
        """Launch trial 0."""
        flags = flags_at(self.study, self.problem.start)
        proposal = self.proposer.ask_fixed(flags)
        self.proposer.remember(proposal, flags)
        self._launch(proposal, flags)

    def next(self) -> None:
        """Take one proposal to its end."""
        proposal = self.proposer.ask()
        doubt = self.limits().doubt(proposal.flags, in_a_row=self.in_a_row) if self.way is Way.LEARNED else None
        if doubt is None:
            self._launch(proposal, proposal.flags)
            return
        self.in_a_row += 1
        self.refused += 1
        self.proposer.tell_violated(proposal, "infeasible", violation=doubt.violation)

    def _launch(self, proposal: Proposal, flags: dict[str, FlagValue]) -> None:
        self.in_a_row = 0
        at = shares(self.study, flags)
        failed = self.problem.fails(at)
        self.ended.append(Ended(proposal.number, flags, self.problem.kind if failed else None))
        if failed:
            self._tell_failed(proposal)
            return
        self.losses.append(self.problem.loss(at))
        measured = self.losses[-1] + self.noise.normal(0, _NOISE)
        margin = -self.limits().log_odds(flags) if self.way is Way.LEARNED else 1.0
        self.proposer.tell_measured(proposal, {_OBJECTIVE: measured}, {}, margin=margin)

    def _tell_failed(self, proposal: Proposal) -> None:
        match self.way:
            case Way.NAIVE:
                self.proposer.tell_failed(proposal, "oom_start")
            case Way.CONSTANT:
                self.proposer.tell_violated(proposal, "oom_start", violation=_CONSTANT)
            case Way.LEARNED:
                violation = self.limits().log_odds(self.ended[-1].values)
                self.proposer.tell_violated(proposal, "oom_start", violation=violation)


def night(kind: str, way: Way, seed: int, launches: int) -> Night:
    """Run one study of so many launches."""
    study = _Study(cliff(kind, seed), way, spec(seed))
    study.first()
    while len(study.ended) < launches:
        study.next()
    failed = [one.failure is not None for one in study.ended]
    later = failed[1 + study.study.sampler.startup_trials :]
    return Night(float(np.mean(failed)), float(np.mean(later)), min(study.losses), study.refused)
