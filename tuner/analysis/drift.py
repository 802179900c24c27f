"""Whether the machine measured the same all along: the baseline's later measurements against its first.

Owns when a later measurement counts as moved, and which trials are suspect for it. Measures nothing, and corrects no
figure: a suspect trial's figures stand, and are said to be suspect.

Two capacities differ when their logarithms do by more than chance: each interval gives a standard deviation, and with
the spread between launches of one configuration they add as variances. Measurements with no trial in between are one
check, averaged by their variances, so that a doubtful first is settled by a second.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from tuner.analysis.assumed import BETWEEN_LAUNCHES
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Launch, Purpose, Trial, TrialRole, measured_baseline

_Z_INTERVAL = 1.645
"""Capacities come with 90 % intervals."""
_Z_DOUBTFUL, _Z_MOVED = 1.645, 2.576
"""Beyond 90 % another look is worth a launch; beyond 99 % the baseline has moved."""
_LOOKS = 2
"""Launches of one check, at the most."""


@dataclass(frozen=True, slots=True)
class Check:
    """The baseline, measured again at one moment of the study."""

    at: datetime
    """When its first launch began."""
    launches: int
    """Launches that were tried for it."""
    ratio: float | None
    """Its capacity over the reference; None where no launch brought one, or one of the two has no bound."""
    z: float
    """How far off it is, in standard deviations; 0 where nothing can be said."""

    @property
    def moved(self) -> bool:
        """Whether that is no chance."""
        return abs(self.z) > _Z_MOVED

    @property
    def doubtful(self) -> bool:
        """Whether another launch should tell."""
        return abs(self.z) > _Z_DOUBTFUL and self.launches < _LOOKS


@dataclass(frozen=True, slots=True)
class Drift:
    """What the baseline's measurements say of a study."""

    checks: tuple[Check, ...]
    suspect: frozenset[int]
    """Numbers of the trials that stand next to a check that moved."""
    since: int
    """Launched trials that ended since the baseline was last tried."""

    @property
    def doubtful(self) -> bool:
        """Whether the last check needs another launch."""
        return bool(self.checks) and self.since == 0 and self.checks[-1].doubtful


def drift(trials: Sequence[Trial]) -> Drift | None:
    """Return what the baseline's measurements say, None without a measured baseline.

    A trial is suspect when the check before it or the one after it moved: its figures were measured on a machine that
    was, or may have been, another.
    """
    baseline = measured_baseline(trials)
    if baseline is None or baseline.capacity is None or baseline.started_at is None:
        return None
    others = sorted((trial for trial in trials if _is_launched(trial)), key=_began)
    checks = tuple(_checks(baseline.capacity, _later(baseline), [_began(trial) for trial in others]))
    suspect = frozenset(trial.number for trial in others if _is_suspect(_began(trial), checks))
    last = max((launch.started_at for launch in _later(baseline)), default=baseline.started_at)
    return Drift(checks, suspect, since=sum(_began(trial) > last for trial in others))


def _is_launched(trial: Trial) -> bool:
    return trial.role is not TrialRole.BASELINE and trial.state.is_counted and trial.started_at is not None


def _began(trial: Trial) -> datetime:
    if trial.started_at is None:
        raise ValueError(f"trial {trial.number} never began")
    return trial.started_at


def _later(baseline: Trial) -> list[Launch]:
    purposes = {Purpose.DRIFT, Purpose.CONFIRM}
    return [launch for launch in baseline.launches if launch.purpose in purposes and not launch.was_interrupted]


def _checks(reference: Capacity, launches: Iterable[Launch], begins: Sequence[datetime]) -> Iterator[Check]:
    """Yield a check for each run of launches without a trial between them."""
    for _, group in groupby(launches, key=lambda launch: sum(began < launch.started_at for began in begins)):
        together = list(group)
        found = [launch.capacity for launch in together if launch.capacity is not None]
        ratio, z = _compared(reference, found)
        yield Check(together[0].started_at, len(together), ratio, z)


def _is_suspect(began: datetime, checks: Sequence[Check]) -> bool:
    before = next((check for check in reversed(checks) if check.at <= began), None)
    after = next((check for check in checks if check.at > began), None)
    return any(check is not None and check.moved for check in (before, after))


def _compared(reference: Capacity, found: Sequence[Capacity]) -> tuple[float | None, float]:
    """Return the ratio to the reference and its distance from 1 in standard deviations."""
    spread = _log_deviation(reference)
    known = [(math.log(one.rps), deviation) for one in found if (deviation := _log_deviation(one)) is not None]
    if spread is None or not known:
        return None, _without_bounds(reference, found)
    weights = [1 / (deviation**2 + BETWEEN_LAUNCHES**2) for _, deviation in known]
    mean = sum(weight * value for weight, (value, _) in zip(weights, known, strict=True)) / sum(weights)
    off = mean - math.log(reference.rps)
    return math.exp(off), off / math.sqrt(spread**2 + BETWEEN_LAUNCHES**2 + 1 / sum(weights))


def _log_deviation(capacity: Capacity) -> float | None:
    """Return the standard deviation of a capacity's logarithm by its interval, None without a bounded one."""
    if capacity.upper_rps is None or capacity.lower_rps <= 0 or capacity.rps <= 0:
        return None
    return math.log(capacity.upper_rps / capacity.lower_rps) / 2 / _Z_INTERVAL


def _without_bounds(reference: Capacity, found: Sequence[Capacity]) -> float:
    """Return infinity where an interval without a bound lies wholly beside the reference's, else 0."""
    for one in found:
        if one.upper_rps is not None and one.upper_rps < reference.lower_rps:
            return -math.inf
        if reference.upper_rps is not None and one.lower_rps > reference.upper_rps:
            return math.inf
    return 0.0
