"""The loop: ask, check, measure, store, tell; retries, breakers, resume.

The order of writes is what makes a kill at any moment harmless: a trial's evidence and verdict are committed to the
store, then told to Optuna. A trial found asked and not told is told from its evidence, or failed and asked again.
"""

from collections.abc import Callable
from datetime import datetime

from tuner.domain.errors import BreakerError, LaunchError
from tuner.domain.events import Noted, Observer, StudyFinished, StudyStarted, TrialFinished, TrialRetried, TrialStarted
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.trial import Trial, TrialRole, TrialState
from tuner.proposal.proposer import Proposal, Proposer
from tuner.server.engine import Resolution
from tuner.store.reader import Reader
from tuner.store.writer import Store
from tuner.study.answer import best_number
from tuner.study.budget import allowance, counted, deadline, spent_seconds, typical_trial
from tuner.study.gate import BINDING, Gate
from tuner.study.given import Given
from tuner.study.point import Assignment
from tuner.study.setting import Setting, fingerprint
from tuner.study.trial import TrialRunner
from tuner.study.verdict import Verdict, judge

_ATTEMPTS = 3
"""Launches that a trial may have before a failure of the surroundings is accepted."""
_BREAKER = 3
"""Trials in a row that the surroundings may break before the study stops."""
_EXPLORE_AFTER = 10
"""Proposals in a row that needed no launch, before a random one is taken instead."""
_EXHAUSTED_AFTER = 100
"""Proposals in a row that needed no launch, before the space counts as exhausted."""
_RETRIED = frozenset(
    {
        FailureKind.PORT_IN_USE,
        FailureKind.GPU_BUSY,
        FailureKind.CUDA_ERROR,
        FailureKind.COMPILE_CACHE,
        FailureKind.CLIENT_FAILED,
    }
)


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
        self._reader = reader
        self._runner = runner
        self._notify = notify
        self._now = now
        self._trials: dict[int, Trial] = {}
        self._environment_failures = 0

    async def run(self) -> str:
        """Run until the budget ends, and return why it ended.

        Raises:
            BreakerError: the baseline failed, or the surroundings failed again and again.
        """
        self._recover()
        ends = deadline(self._spec.budget, now=self._now(), spent=spent_seconds(self._history()))
        self._announce(ends)
        idle = 0
        reason = self._end(ends, idle)
        while reason is None:
            launched = await self._next(explore=idle >= _EXPLORE_AFTER)
            idle = 0 if launched else idle + 1
            reason = self._end(ends, idle)
        self._notify(StudyFinished(reason, counted(self._history())))
        return reason

    def _recover(self) -> None:
        """Close what a killed tuner left open: tell what has its evidence, fail the rest."""
        self._reload()
        for trial_id in self._proposer.running():
            trial = next((trial for trial in self._history() if trial.id == trial_id), None)
            proposal = self._proposer.proposal(trial_id, trial.flags if trial else {})
            if trial is None or trial.state is TrialState.RUNNING:
                self._proposer.tell_failed(proposal, FailureKind.INTERRUPTED)
            else:
                self._tell(trial, proposal)
        self._store.interrupt_running(self._proposer.study_id, self._now())
        self._reload()

    def _announce(self, ends: datetime | None) -> None:
        seconds = None if ends is None else (ends - self._now()).total_seconds()
        history = self._history()
        best = best_number(history, self._spec)
        budget = self._spec.budget.trials
        self._notify(StudyStarted(self._spec.study, counted(history), budget, seconds, history=history, best=best))

    def _end(self, ends: datetime | None, idle: int) -> str | None:
        if idle >= _EXHAUSTED_AFTER:
            return "the search space is exhausted: every further proposal was measured or refused before"
        history = self._history()
        left = allowance(self._spec.budget, now=self._now(), ends=ends, finished=counted(history))
        return left.ends(typical_trial(history))

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
        refused = self._gate.refusal(proposal.flags, role, resolution, self._history())
        if refused is not None:
            failure = Failure(kind=FailureKind.INFEASIBLE, evidence=refused.evidence, advice=refused.advice)
            self._finish(proposal, TrialState.INFEASIBLE, failure=failure, violation=refused.violation)
            self._break_if_hopeless(role, failure)
            return False
        self._warn(proposal, role, resolution)
        await self._measure(proposal, role)
        return True

    def _ask(self, *, explore: bool) -> tuple[Proposal, TrialRole]:
        wanted = next(self._given.due(self._history()), None)
        if wanted is not None:
            return self._proposer.ask_fixed(wanted.flags), wanted.role
        return self._proposer.ask(explore=explore), TrialRole.SAMPLED

    def _is_repeated(self, proposal: Proposal) -> bool:
        return any(trial.flags == proposal.flags for trial in self._history() if trial.state is TrialState.INTERRUPTED)

    def _warn(self, proposal: Proposal, role: TrialRole, resolution: Resolution) -> None:
        """Say what is suspected of a configuration that is launched because people named it."""
        found = None if role in BINDING else self._gate.suspicion(proposal.flags, resolution, self._history())
        if found is not None:
            self._notify(Noted(f"trial {proposal.number} will probably not run, and is launched all the same: {found}"))

    def _twin(self, print_of: str) -> Trial | None:
        """Return the trial that ended with a verdict on the same resolved configuration."""
        return next((trial for trial in self._history() if trial.fingerprint == print_of and _has_verdict(trial)), None)

    async def _measure(self, proposal: Proposal, role: TrialRole) -> None:
        try:
            outcome = await self._attempts(proposal, role)
        except BaseException:
            self._finish(proposal, TrialState.INTERRUPTED, failure=Failure(kind=FailureKind.INTERRUPTED))
            raise
        if isinstance(outcome, Verdict):
            self._environment_failures = 0
            self._finish(proposal, TrialState.MEASURED, verdict=outcome)
            return
        self._finish(proposal, TrialState.FAILED, failure=outcome)
        self._break_if_hopeless(role, outcome)

    async def _attempts(self, proposal: Proposal, role: TrialRole) -> Verdict | Failure:
        """Launch until there is a verdict, or a failure that another launch would not change."""
        for attempt in range(1, _ATTEMPTS + 1):
            self._notify(TrialStarted(proposal.number, role, proposal.flags, attempt))
            stored = self._reader.trial(self._proposer.study_id, proposal.number)
            first_index = len(stored.load_points) if stored else 0
            try:
                measured = await self._runner.measure(
                    Assignment(proposal.trial_id, proposal.number, proposal.flags, attempt, first_index)
                )
            except LaunchError as error:
                if error.failure.kind not in _RETRIED or attempt == _ATTEMPTS:
                    return error.failure
                self._notify(TrialRetried(proposal.number, error.failure))
            else:
                return judge(self._spec, measured.points, measured.capacity)
        raise AssertionError("the last attempt returns")

    def _break_if_hopeless(self, role: TrialRole, failure: Failure) -> None:
        if role is TrialRole.BASELINE:
            raise BreakerError(
                f"trial 0, vLLM's defaults, failed ({failure.kind}): {failure.evidence}",
                advice=failure.advice or "without a baseline there is nothing to compare with: mend it and resume",
            )
        if failure.kind.is_configuration_fault:
            self._environment_failures = 0
            return
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
        self._reload()
        trial = self._trials[proposal.number]
        self._tell(trial, proposal, violation)
        self._notify(TrialFinished(trial, best_number(self._history(), self._spec)))

    def _tell(self, trial: Trial, proposal: Proposal, violation: float | None = None) -> None:
        """Tell Optuna a stored trial's end, from its evidence alone, and how far it is from what can't run."""
        told = self._trials[trial.duplicate_of] if trial.duplicate_of is not None else trial
        verdict = judge(self._spec, told.judged_points, told.capacity) if told.capacity is not None else None
        if isinstance(verdict, Verdict):
            margin = -self._gate.violation(told, self._history())
            self._proposer.tell_measured(proposal, verdict.values, verdict.constraints, margin=margin)
        elif told.failure is not None and told.failure.kind.is_configuration_fault:
            graded = self._gate.violation(told, self._history()) if violation is None else violation
            self._proposer.tell_violated(proposal, told.failure.kind, violation=graded)
        else:
            self._proposer.tell_failed(proposal, told.failure.kind if told.failure else FailureKind.UNKNOWN)

    def _reload(self) -> None:
        self._trials = {trial.number: trial for trial in self._reader.trials(self._proposer.study_id)}

    def _history(self) -> tuple[Trial, ...]:
        return tuple(self._trials.values())


def _has_verdict(trial: Trial) -> bool:
    if trial.state is TrialState.FAILED:
        return trial.failure is not None and trial.failure.kind.is_configuration_fault
    return trial.state is TrialState.MEASURED
