"""The loop: ask, check, measure, store, tell; retries, breakers, resume.

The order of writes is what makes a kill at any moment harmless: a trial's evidence and verdict are committed to the
store, then told to Optuna. A trial found asked and not told is told from its evidence, or failed and asked again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from tuner.domain.errors import BreakerError
from tuner.domain.events import (
    Noted,
    Observer,
    StudyFinished,
    StudyStarted,
    TrialFinished,
    TrialStarted,
)
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.slo import Slo
from tuner.domain.trial import Trial, TrialRole, TrialState
from tuner.proposal.proposer import Proposal, Proposer
from tuner.server.engine import Resolution
from tuner.store.reader import Reader
from tuner.store.writer import Store
from tuner.study.answer import best_number
from tuner.study.attempts import Attempts
from tuner.study.budget import allowance, counted, deadline, spent_seconds, typical_trial
from tuner.study.gate import BINDING, Gate
from tuner.study.given import Given
from tuner.study.history import History
from tuner.study.point import Assignment
from tuner.study.refining import Refining
from tuner.study.relaunching import Relaunching
from tuner.study.repeating import Repeating
from tuner.study.setting import Setting, fingerprint
from tuner.study.trial import TrialRunner
from tuner.study.verdict import Verdict, judge

_BREAKER = 3
"""Trials in a row that the surroundings may break before the study stops."""
_EXPLORE_AFTER = 10
"""Proposals in a row that needed no launch, before a random one is taken instead."""
_EXHAUSTED_AFTER = 100
"""Proposals in a row that needed no launch, before the space counts as exhausted."""


class StudyLoop:
    """One session of a study: from its opening until its budget, a breaker or a cancellation ends it."""

    def __init__(
        self,
        setting: Setting,
        proposer: Proposer,
        store: Store,
        reader: Reader,
        runner: TrialRunner,
        notify: Observer,
        *,
        gate: Gate,
        given: Given,
        now: Callable[[], datetime],
    ) -> None:
        """Take the collaborators; `now` is the local time, of a clock that never jumps."""
        self._gate = gate
        self._given = given
        self._setting = setting
        self._spec = setting.spec
        self._proposer = proposer
        self._store = store
        self._history = History(reader, proposer.study_id)
        self._attempts = Attempts(runner, reader, proposer.study_id, notify)
        again = Relaunching(self._attempts, self._history, notify, failed=self._count_against_surroundings)
        self._repeating = Repeating(setting.spec, again, self._history, now=now)
        self._refining = Refining(setting.spec, again, self._history, reader)
        self._notify = notify
        self._now = now
        self._environment_failures = 0

    async def run(self) -> str:
        """Run until the budget ends, and return why it ended.

        Raises:
            BreakerError: the baseline failed, or the surroundings failed again and again.
        """
        self._recover()
        ends = deadline(self._spec.budget, now=self._now(), spent=spent_seconds(self._history.trials))
        self._announce(ends)
        idle = 0
        reason = self._end(ends, idle)
        while reason is None:
            launched = await self._next(explore=idle >= _EXPLORE_AFTER)
            idle = 0 if launched else idle + 1
            await self._repeating.check_drift(ends)
            reason = self._end(ends, idle)
        await self._repeating.close(ends)
        self._notify(StudyFinished(reason, counted(self._history.trials)))
        return reason

    async def confirm(self, numbers: Sequence[int], rounds: int) -> str:
        """Measure finalists and the baseline again, interleaved, until each has so many fresh launches.

        Args:
            numbers: Measured trials; none for those that the study would choose by itself.
            rounds: Launches for each.

        Returns:
            What was done, in words.

        Raises:
            BreakerError: the surroundings failed again and again.
        """
        self._recover()
        self._announce(None)
        added = await self._repeating.confirm(numbers, rounds)
        reason = f"{added} launches to confirm" if added else f"each of them has {rounds} launches for it already"
        self._notify(StudyFinished(reason, counted(self._history.trials)))
        return reason

    async def refine(self, slos: Sequence[Slo]) -> str:
        """Measure the load points that decide what the best trials sustain under other SLOs; return what was done.

        Raises:
            BreakerError: the surroundings failed again and again.
        """
        self._recover()
        self._announce(None)
        launched = await self._refining.refine(slos)
        reason = f"{launched} of the best refined" if launched else "nothing is open that a load point could decide"
        self._notify(StudyFinished(reason, counted(self._history.trials)))
        return reason

    def _recover(self) -> None:
        """Close what a killed tuner left open: tell what has its evidence, fail the rest."""
        for trial_id in self._proposer.running():
            trial = next((trial for trial in self._history.trials if trial.id == trial_id), None)
            proposal = self._proposer.proposal(trial_id, trial.flags if trial else {})
            if trial is None or trial.state is TrialState.RUNNING:
                self._proposer.tell_failed(proposal, FailureKind.INTERRUPTED)
            else:
                self._tell(trial, proposal)
        self._store.interrupt_running(self._proposer.study_id, self._now())
        self._history.reload()

    def _announce(self, ends: datetime | None) -> None:
        seconds = None if ends is None else (ends - self._now()).total_seconds()
        history = self._history.trials
        best = best_number(history, self._spec)
        budget = self._spec.budget.trials
        self._notify(StudyStarted(self._spec.study, counted(history), budget, seconds, history=history, best=best))

    def _end(self, ends: datetime | None, idle: int) -> str | None:
        if idle >= _EXHAUSTED_AFTER:
            return "the search space is exhausted: every further proposal was measured or refused before"
        history = self._history.trials
        left = allowance(self._spec.budget, now=self._now(), ends=ends, finished=counted(history))
        typical = typical_trial(history)
        return left.ends(typical, reserved=typical * self._repeating.still_to_confirm())

    async def _next(self, *, explore: bool) -> bool:
        """Take one configuration from asking to telling; return whether it needed a launch."""
        proposal, role = self._ask(explore=explore)
        resolution = await self._setting.resolve(proposal.flags)
        print_of = fingerprint(resolution.values)
        self._store.begin_trial(
            proposal.trial_id,
            self._proposer.study_id,
            proposal.number,
            role=role,
            flags=proposal.flags,
            resolved=resolution.values,
            fingerprint=print_of,
            started_at=self._now(),
        )
        if role is not TrialRole.SAMPLED or self._is_repeated(proposal):
            self._proposer.remember(proposal, {**resolution.values, **proposal.flags})
        twin = self._twin(print_of)
        if twin is not None:
            self._finish(proposal, TrialState.DUPLICATE, duplicate_of=twin.number)
            return False
        refused = self._gate.refusal(proposal.flags, role, resolution, self._history.trials)
        if refused is not None:
            failure = Failure(kind=FailureKind.INFEASIBLE, evidence=refused.evidence, advice=refused.advice)
            self._finish(proposal, TrialState.INFEASIBLE, failure=failure, violation=refused.violation)
            self._break_if_hopeless(role, failure)
            return False
        self._warn(proposal, role, resolution)
        await self._measure(proposal, role)
        return True

    def _ask(self, *, explore: bool) -> tuple[Proposal, TrialRole]:
        wanted = next(self._given.due(self._history.trials), None)
        if wanted is not None:
            return self._proposer.ask_fixed(wanted.flags), wanted.role
        return self._proposer.ask(explore=explore), TrialRole.SAMPLED

    def _is_repeated(self, proposal: Proposal) -> bool:
        return any(
            trial.flags == proposal.flags for trial in self._history.trials if trial.state is TrialState.INTERRUPTED
        )

    def _warn(self, proposal: Proposal, role: TrialRole, resolution: Resolution) -> None:
        """Say what is suspected of a configuration that is launched because people named it."""
        found = None if role in BINDING else self._gate.suspicion(proposal.flags, resolution, self._history.trials)
        if found is not None:
            self._notify(Noted(f"trial {proposal.number} will probably not run, and is launched all the same: {found}"))

    def _twin(self, print_of: str) -> Trial | None:
        """Return the trial that ended with a verdict on the same resolved configuration."""
        return next(
            (trial for trial in self._history.trials if trial.fingerprint == print_of and _has_verdict(trial)), None
        )

    async def _measure(self, proposal: Proposal, role: TrialRole) -> None:
        try:
            outcome = await self._launched(proposal, role)
        except BaseException:
            self._finish(proposal, TrialState.INTERRUPTED, failure=Failure(kind=FailureKind.INTERRUPTED))
            raise
        if isinstance(outcome, Verdict):
            self._environment_failures = 0
            self._finish(proposal, TrialState.MEASURED, verdict=outcome)
            return
        self._finish(proposal, TrialState.FAILED, failure=outcome)
        self._break_if_hopeless(role, outcome)

    async def _launched(self, proposal: Proposal, role: TrialRole) -> Verdict | Failure:

        def announce(attempt: int) -> None:
            self._notify(TrialStarted(proposal.number, role, proposal.flags, attempt))

        assignment = Assignment(proposal.trial_id, proposal.number, proposal.flags)
        outcome = await self._attempts.measure(assignment, announce)
        return outcome if isinstance(outcome, Failure) else judge(self._spec, outcome.points, outcome.capacity)

    def _break_if_hopeless(self, role: TrialRole, failure: Failure) -> None:
        if role is TrialRole.BASELINE:
            raise BreakerError(
                f"trial 0, vLLM's defaults, failed ({failure.kind}): {failure.evidence}",
                advice=failure.advice or "without a baseline there is nothing to compare with: mend it and resume",
            )
        if failure.kind.is_configuration_fault:
            self._environment_failures = 0
            return
        self._count_against_surroundings(failure)

    def _count_against_surroundings(self, failure: Failure) -> None:
        self._environment_failures += 1
        if self._environment_failures >= _BREAKER:
            raise BreakerError(
                f"{_BREAKER} trials in a row failed through no fault of theirs, the last one with {failure.kind}: "
                f"{failure.evidence}",
                advice=failure.advice,
            )

    def _finish(
        self,
        proposal: Proposal,
        state: TrialState,
        *,
        verdict: Verdict | None = None,
        failure: Failure | None = None,
        duplicate_of: int | None = None,
        violation: float | None = None,
    ) -> None:
        self._store.finish_trial(
            proposal.trial_id,
            state,
            ended_at=self._now(),
            capacity=verdict.capacity if verdict else None,
            values=verdict.values if verdict else {},
            failure=failure,
            duplicate_of=duplicate_of,
        )
        trial = self._history.refresh(proposal.number)
        self._tell(trial, proposal, violation)
        self._notify(TrialFinished(trial, best_number(self._history.trials, self._spec)))

    def _tell(self, trial: Trial, proposal: Proposal, violation: float | None = None) -> None:
        """Tell Optuna a stored trial's end, from its evidence alone, and how far it is from what can't run."""
        told = self._history.trial(trial.duplicate_of) if trial.duplicate_of is not None else trial
        verdict = judge(self._spec, told.judged_points, told.capacity) if told.capacity is not None else None
        if isinstance(verdict, Verdict):
            margin = -self._gate.violation(told, self._history.trials)
            self._proposer.tell_measured(proposal, verdict.values, verdict.constraints, margin=margin)
        elif told.failure is not None and told.failure.kind.is_configuration_fault:
            graded = self._gate.violation(told, self._history.trials) if violation is None else violation
            self._proposer.tell_violated(proposal, told.failure.kind, violation=graded)
        else:
            self._proposer.tell_failed(proposal, told.failure.kind if told.failure else FailureKind.UNKNOWN)


def _has_verdict(trial: Trial) -> bool:
    if trial.state is TrialState.FAILED:
        return trial.failure is not None and trial.failure.kind.is_configuration_fault
    return trial.state is TrialState.MEASURED
