"""Ask and tell: configurations out, verdicts in, remembered by Optuna in the result file.

The order is always the same: measurements are committed elsewhere first, constraints are set next, `tell` comes last,
so that a COMPLETE trial implies its evidence. What the configuration broke is COMPLETE with a violated constraint and
the worst values seen, so that the sampler leaves the cliff; what the surroundings broke is FAIL, which Optuna's
samplers never read. How far a configuration is on the wrong side of a limit is graded, on the right side too: it is
the caller's to say (`tuner.space.learned`).
"""

import logging
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import TrialState

from tuner.domain.flags import FlagValue
from tuner.domain.space import is_active
from tuner.domain.study import Sampler, SamplerName, StudySpec
from tuner.proposal.distributions import distribution, internal_value
from tuner.proposal.samplers import make_sampler, sampler_arguments

MEASURED = "measured"
"""User attribute: False on trials whose values are stand-ins that no report may read."""
FAILURE_CONSTRAINT = "failure"
LEAST_MARGIN = 0.1
"""Of a limit that was broken or kept: what is told where nothing more is known."""
_WORST_BY_DEFAULT = {StudyDirection.MAXIMIZE: 0.0, StudyDirection.MINIMIZE: 1e3}
_WRITE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration to try: Optuna's trial id and number, and the tuned flags."""

    trial_id: int
    number: int
    flags: dict[str, FlagValue]


class Proposer:
    """One Optuna study. Not thread-safe; the only writer of Optuna's tables while it lives."""

    def __init__(self, study: optuna.Study, storage: optuna.storages.BaseStorage, spec: StudySpec) -> None:
        """Use `open_proposer`."""
        self._study = study
        self._storage = storage
        self._spec = spec
        self._distributions = {
            name: distribution(parameter) for name, parameter in spec.search_space.parameters.items()
        }

    @property
    def study_id(self) -> int:
        """Optuna's id of the study."""
        return self._storage.get_study_id_from_name(self._spec.study)

    def ask(self, *, explore: bool = False) -> Proposal:
        """Return the sampler's next configuration; with `explore`, a random one.

        Constraints of the space are not applied here: an infeasible proposal is told as such, which teaches.
        """
        known = self._study.get_trials(deepcopy=False)
        unmeasured = sum(trial.user_attrs.get(MEASURED) is False for trial in known)
        self._study.sampler = make_sampler(self._sampler(explore=explore, unmeasured=unmeasured), len(known))
        trial = self._study.ask()
        flags: dict[str, FlagValue] = {}
        for name, parameter in self._spec.search_space.parameters.items():
            if is_active(parameter, flags):
                flags[name] = _suggest(trial, name, self._distributions[name])
        return Proposal(self._trial_id(trial.number), trial.number, flags)

    def _sampler(self, *, explore: bool, unmeasured: int) -> Sampler:
        """Return the sampler to use: the random start lasts until so many trials are measured, whatever failed."""
        own = self._spec.sampler
        if explore:
            return Sampler(name=SamplerName.RANDOM, seed=own.seed)
        return own.model_copy(update={"startup_trials": own.startup_trials + unmeasured})

    def ask_fixed(self, flags: Mapping[str, FlagValue]) -> Proposal:
        """Return a trial for a configuration that is given: the defaults, a candidate, a trial asked again."""
        trial = self._study.ask()
        return Proposal(self._trial_id(trial.number), trial.number, dict(flags))

    def remember(self, proposal: Proposal, values: Mapping[str, FlagValue | None]) -> None:
        """Record a fixed trial's resolved values as its parameters, so that samplers can learn from it.

        A COMPLETE trial without parameters would empty Optuna's intersection search space. Values outside a range
        are recorded as they are.
        """
        for name, of in self._distributions.items():
            value = values.get(name)
            internal = None if value is None else internal_value(of, value)
            if internal is not None:
                self._storage.set_trial_param(proposal.trial_id, name, internal, of)

    def tell_measured(
        self,
        proposal: Proposal,
        values: Mapping[str, float],
        constraints: Mapping[str, float],
        *,
        margin: float = LEAST_MARGIN,
    ) -> None:
        """Tell objective values and constraint values (zero or less is met). Comes last, after all evidence.

        Args:
            proposal: what was measured.
            values: by objective.
            constraints: by name.
            margin: how far it was from failing; positive.
        """
        limits = {FAILURE_CONSTRAINT: -max(margin, LEAST_MARGIN), **constraints}
        self._complete(proposal.trial_id, [values[name] for name in self._spec.objectives], limits, measured=True)

    def tell_violated(self, proposal: Proposal, reason: str, *, violation: float = LEAST_MARGIN) -> None:
        """Tell that the configuration itself broke or would have: a violated constraint, marked unmeasured.

        Its values are the worst seen, which nothing reads: Optuna wants some.

        Args:
            proposal: what broke.
            reason: the kind of failure.
            violation: how far it is on the wrong side; positive.
        """
        self._storage.set_trial_user_attr(proposal.trial_id, "failure", reason)
        limits = {FAILURE_CONSTRAINT: max(violation, LEAST_MARGIN)}
        self._complete(proposal.trial_id, self._worst(), limits, measured=False)

    def tell_failed(self, proposal: Proposal, reason: str) -> None:
        """Tell that the surroundings broke the trial: FAIL, which teaches nothing."""
        self._fail(proposal.trial_id, reason)

    def running(self) -> tuple[int, ...]:
        """Return the ids of trials that are asked and not told: after a start, what a killed tuner left behind."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
        return tuple(self._trial_id(trial.number) for trial in running)

    def proposal(self, trial_id: int, flags: Mapping[str, FlagValue]) -> Proposal:
        """Return the proposal of a trial that an earlier process asked for."""
        return Proposal(trial_id, self._storage.get_trial(trial_id).number, dict(flags))

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self.study_id, number)

    def _complete(
        self, trial_id: int, values: Sequence[float], constraints: Mapping[str, float], *, measured: bool
    ) -> None:
        trial = optuna.Trial(self._study, trial_id)
        trial.set_user_attr(MEASURED, measured)
        for name, value in constraints.items():
            trial.set_constraint(name, value)
        self._study.tell(trial, list(values))

    def _fail(self, trial_id: int, reason: str) -> None:
        self._storage.set_trial_user_attr(trial_id, "failure", reason)
        self._storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def _worst(self) -> list[float]:
        measured = [
            trial.values
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if trial.user_attrs.get(MEASURED) is True
        ]
        worst: list[float] = []
        for index, direction in enumerate(self._study.directions):
            column = [values[index] for values in measured]
            pick = min if direction is StudyDirection.MAXIMIZE else max
            worst.append(pick(column) if column else _WORST_BY_DEFAULT[direction])
        return worst


def open_proposer(url: str, spec: StudySpec, directions: Sequence[str]) -> Proposer:
    """Open the study of this name in the database, or make it.

    Args:
        url: SQLAlchemy URL of the result file.
        spec: The study; its name is Optuna's study name.
        directions: `maximize` or `minimize` for each objective of the spec, in order.
    """
    return _opened(optuna.storages.RDBStorage(url, engine_kwargs=_engine_arguments(url)), spec, directions)


@contextmanager
def storage_errors() -> Generator[None]:
    """Let through what the database said instead of Optuna's words, which call a full disk invalid data."""
    try:
        yield
    except StorageInternalError as error:
        raise error.__cause__ or error from None


def rehearsal(spec: StudySpec, *, after: int) -> Proposer:
    """Return a proposer that forgets everything: what the study would propose after its first `after` trials."""
    proposer = _opened(optuna.storages.InMemoryStorage(), spec, ["minimize"] * len(spec.objectives))
    for _ in range(after):
        proposer.ask_fixed({})
    return proposer


def _opened(storage: optuna.storages.BaseStorage, spec: StudySpec, directions: Sequence[str]) -> Proposer:
    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(
        storage=storage,
        study_name=spec.study,
        directions=list(directions),  # pyright: ignore[reportArgumentType]  # the literals of Optuna's signature
        sampler=make_sampler(spec.sampler, 0),
        load_if_exists=True,
    )
    with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
        study.set_metric_names(list(spec.objectives))
    study.set_user_attr("sampler", sampler_arguments(spec.sampler))
    return Proposer(study, storage, spec)


def _engine_arguments(url: str) -> dict[str, Any]:
    return {"connect_args": {"timeout": _WRITE_TIMEOUT_S}} if url.startswith("sqlite") else {}


def _suggest(trial: optuna.Trial, name: str, of: BaseDistribution) -> FlagValue:
    match of:
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return float(f"{trial.suggest_float(name, low, high, log=log, step=step):.10g}")
        case CategoricalDistribution(choices=choices):
            return cast("FlagValue", trial.suggest_categorical(name, choices))
        case _:
            raise AssertionError(f"no such distribution: {of!r}")
