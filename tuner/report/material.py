"""Owns what a report is made of: one study's trials as others judged them. Decides only which of them are shown.

The composer (`tuner.study.report`) fills it: which trial is best, which are on the front, what mattered, and the
intervals of percentiles are not the report's to find.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TypeVar

from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import Slo
from tuner.domain.trial import Purpose, Study, Trial, TrialRole, TrialState
from tuner.report.chart import Tone
from tuner.report.page_model import Verdict

MOST_TRIALS = 240
"""Trials that a page shows one by one: more can't be told apart in a chart, and make a page too large to mail."""
MOST_COMPARED = 6
"""Configurations whose latency curves stand in one chart."""

_T = TypeVar("_T")

_FEWEST_COMPARED = 3
"""Where fewer are named, trials of the front fill up."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """A measured trial under the SLOs that were asked for."""

    capacity: Capacity
    points: tuple[LoadPoint, ...]
    figures: Mapping[str, float]
    """The front's figures by name; latencies in seconds, missing ones left out."""
    on_front: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What the machine did at one moment. None is unknown."""

    moment: datetime
    gpu: int | None = None
    """Which GPU; None for the machine as a whole."""
    sm_clock_mhz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    cpu_share: float | None = None


@dataclass(frozen=True, slots=True)
class Weight:
    """How much one parameter, or two together, mattered to one objective."""

    objective: str
    parameter: str
    share: float
    """0 to 1, by Optuna's definition."""


@dataclass(frozen=True, slots=True)
class Material:
    """One study, ready to be shown."""

    study: Study
    label: str
    """What it is called on the page: its name, with its file where two studies share the name."""
    trials: tuple[Trial, ...]
    judged: Mapping[int, Judged]
    """By trial number; measured trials only."""
    slos: tuple[Slo, ...]
    target_rps: float
    headroom: float
    metrics: tuple[str, ...]
    """The figures of the front, two or three."""
    verdict: Verdict
    zone: tzinfo
    """In which times of day are written."""
    best: int | None = None
    ties: frozenset[int] = frozenset()
    weights: tuple[Weight, ...] = ()
    weights_note: str = ""
    """Why there are none, or what to be careful about."""
    intervals: Mapping[tuple[int, int, str], Interval] = field(default_factory=dict[tuple[int, int, str], Interval])
    """90 % interval of a percentile, seconds, by trial number, load point and the statistic's name (`ttft_p95`)."""
    readings: tuple[Reading, ...] = ()
    suspect: frozenset[int] = frozenset()
    """Numbers of trials that were measured beside a drift check that moved."""
    reasons: Mapping[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    """Why a trial is as it is, by number."""

    def tone(self, trial: Trial) -> Tone:
        """Return what a trial stands for in every chart."""
        if trial.number == self.best:
            return Tone.BEST
        if trial.role is TrialRole.BASELINE:
            return Tone.DEFAULTS
        if trial.number in self.ties:
            return Tone.TIE
        if trial.role is TrialRole.CANDIDATE:
            return Tone.CANDIDATE
        judged = self.judged.get(trial.number)
        return Tone.FRONT if judged is not None and judged.on_front else Tone.OTHER

    def moment(self, when: datetime) -> float:
        """Return a moment as a time axis has it: milliseconds, shifted to the zone."""
        local = when.astimezone(self.zone)
        offset = local.utcoffset()
        return (local.timestamp() + (offset.total_seconds() if offset else 0.0)) * 1e3


def compared(material: Material) -> tuple[Trial, ...]:
    """Return the trials worth a curve each: the best, the defaults, candidates, ties, then some of the front."""
    order = (Tone.BEST, Tone.DEFAULTS, Tone.CANDIDATE, Tone.TIE)
    measured = [trial for trial in material.trials if trial.number in material.judged]
    chosen = [trial for tone in order for trial in measured if material.tone(trial) is tone]
    rivals = sorted(
        (trial for trial in measured if material.tone(trial) is Tone.FRONT),
        key=lambda trial: -material.judged[trial.number].capacity.rps,
    )
    return tuple((*chosen, *rivals[: max(_FEWEST_COMPARED - len(chosen), 0)])[:MOST_COMPARED])


def shown(material: Material, most: int = MOST_TRIALS) -> tuple[Trial, ...]:
    """Return the trials that the page shows one by one, by number: all, or those that matter and an even choice."""
    launched = [trial for trial in material.trials if not trial.state.is_unlaunched]
    if len(launched) <= most:
        return tuple(launched)
    first = list(_that_matter(material, launched))[:most]
    taken = {trial.number for trial in first}
    rest = [trial for trial in launched if trial.number not in taken]
    return tuple(sorted((*first, *evenly(rest, most - len(first))), key=lambda trial: trial.number))


def _that_matter(material: Material, launched: Iterable[Trial]) -> Iterator[Trial]:
    """Yield the compared, the repeated, the front, one failure of each kind."""
    listed = list(launched)
    kinds: set[str] = set()
    yield from (trial for trial in listed if material.tone(trial) not in {Tone.OTHER, Tone.FRONT})
    for trial in listed:
        if material.tone(trial) is Tone.FRONT or (material.tone(trial) is Tone.OTHER and is_repeated(trial)):
            yield trial
        elif trial.state is TrialState.FAILED and trial.failure and trial.failure.kind not in kinds:
            kinds.add(trial.failure.kind)
            yield trial


def is_repeated(trial: Trial) -> bool:
    """Return whether a trial's configuration was launched again to confirm it."""
    return any(launch.purpose is Purpose.CONFIRM for launch in trial.launches)


def evenly(items: Sequence[_T], count: int) -> list[_T]:
    """Return so many of the items, evenly spread over them."""
    if count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(count)] if count > 0 else []
