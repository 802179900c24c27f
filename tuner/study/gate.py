"""What stands between a proposal and a launch: rules, the engine's own word, arithmetic, and what was learned.

Asked in that order, from what is certain to what is probable. Owns no verdict on what people named: trial 0 and the
candidates are launched, whatever is suspected of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from tuner.domain.flags import Flags, FlagValue
from tuner.domain.study import StudySpec
from tuner.domain.trial import Trial, TrialRole, TrialState
from tuner.server.diagnosis import infeasible
from tuner.server.engine import Resolution
from tuner.space.feasibility import refusal
from tuner.space.learned import TEACHING, Ended, Limits
from tuner.study.arithmetic import Arithmetic
from tuner.study.setting import Setting

BINDING = frozenset({TrialRole.SAMPLED, TrialRole.SUGGESTED, TrialRole.WARM_START})
"""Roles whose trials can be refused."""
_CERTAIN = 3.0
"""The violation of what is surely refused, in the log-odds that learned limits are graded in: 95 %."""
_AS_AFTER = {TrialRole.SUGGESTED: 20, TrialRole.WARM_START: 1000}
"""Refusals in a row that a given trial is judged as after: a suggestion is refused where it is sure to fail, not where
nobody has been yet; the best of an earlier study never by what failed here."""
_OPEN = frozenset({TrialState.RUNNING, TrialState.INTERRUPTED})


class Refusal(NamedTuple):
    """Why a configuration is not launched."""

    evidence: str
    violation: float = _CERTAIN
    """How far it is on the wrong side, for the sampler; positive."""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """A study's checks before a launch."""

    spec: StudySpec
    """With every fixed flag spelled out."""
    version: str
    """The engine's."""
    facts: Flags
    """What static rules may read of the machine."""
    arithmetic: Arithmetic | None = None
    """None where the model or the device can't be calculated with."""

    @classmethod
    def of(cls, setting: Setting, arithmetic: Arithmetic | str) -> Self:
        """Return the checks of a study that is ready to run."""
        gpus = setting.provenance.device_count if setting.info.has_gpu else None
        counted = gpus and "distributed-executor-backend" not in setting.base_flags
        facts: dict[str, FlagValue] = {"device.gpus": gpus} if gpus and counted else {}
        found = None if isinstance(arithmetic, str) else arithmetic
        return cls(setting.spec, setting.info.version, {**facts, **(found.facts if found else {})}, found)

    def refusal(
        self, flags: Flags, role: TrialRole, resolution: Resolution, history: Sequence[Trial]
    ) -> Refusal | None:
        """Return what keeps a proposal from being launched.

        Args:
            flags: the proposal.
            role: where it comes from.
            resolution: what the engine makes of it.
            history: the study's trials so far.
        """
        if role not in BINDING:
            return _by_engine(resolution)
        return (
            self._by_rule(flags)
            or _by_engine(resolution)
            or self._by_arithmetic(resolution, flags, history)
            or self._by_experience(flags, role, resolution, history)
        )

    def suspicion(self, flags: Flags, resolution: Resolution, history: Sequence[Trial]) -> str | None:
        """Return why a configuration that is launched anyway will probably not run."""
        found = self._by_rule(flags) or self._by_arithmetic(resolution, flags, history)
        return found.evidence if found else None

    def violation(self, trial: Trial, history: Sequence[Trial]) -> float:
        """Return how far an ended trial is on the wrong side of what can run; negative where it ran.

        In log-odds of failing, by all that has been launched, itself included.
        """
        if trial.failure is not None and trial.failure.kind not in TEACHING:
            return _CERTAIN
        return self.limits(history).log_odds(_values(trial.flags, trial.resolved))

    def limits(self, history: Sequence[Trial]) -> Limits:
        """Return what the launches so far have shown."""
        space = self.spec.search_space
        launched = [trial for trial in history if trial.flags.keys() <= space.parameters.keys()]
        ended = [found for trial in launched if (found := _ended(trial)) is not None]
        return Limits(space, tuple(ended))

    def _by_rule(self, flags: Flags) -> Refusal | None:
        spec = self.spec
        found = refusal(spec.search_space, flags, spec.base_flags(), version=self.version, facts=self.facts)
        return Refusal(found) if found else None

    def _by_arithmetic(self, resolution: Resolution, flags: Flags, history: Sequence[Trial]) -> Refusal | None:
        if self.arithmetic is None:
            return None
        found = self.arithmetic.excluded(_values(flags, resolution.values), history)
        return Refusal(found.evidence, _CERTAIN + min(found.excess, _CERTAIN)) if found else None

    def _by_experience(
        self, flags: Flags, role: TrialRole, resolution: Resolution, history: Sequence[Trial]
    ) -> Refusal | None:
        row = _AS_AFTER.get(role, _in_a_row(history))
        doubt = self.limits(history).doubt(_values(flags, resolution.values), in_a_row=row)
        return Refusal(doubt.evidence, doubt.violation) if doubt else None


def _values(flags: Flags, resolved: "dict[str, FlagValue | None]") -> "dict[str, FlagValue | None]":
    return {**resolved, **flags}


def _ended(trial: Trial) -> Ended | None:
    """Return a trial as what it says about limits, None where it says nothing."""
    values = _values(trial.flags, trial.resolved)
    if trial.state is TrialState.MEASURED:
        return Ended(trial.number, values, None)
    failed = trial.state is TrialState.FAILED and trial.failure is not None and trial.failure.kind in TEACHING
    return Ended(trial.number, values, trial.failure.kind) if failed and trial.failure else None


def _in_a_row(history: Sequence[Trial]) -> int:
    """Return how many proposals since the last launch needed none."""
    ended = [trial.state for trial in reversed(history) if trial.state not in _OPEN]
    return next((index for index, state in enumerate(ended) if not state.is_unlaunched), len(ended))


def _by_engine(resolution: Resolution) -> Refusal | None:
    if resolution.error is None:
        return None
    failure = infeasible(resolution.error)
    return Refusal(failure.evidence, advice=failure.advice)
