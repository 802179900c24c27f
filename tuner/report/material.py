"""Owns what a report is made of: one study's trials as others judged them. Decides only which of them are shown.

The composer (`tuner.study.report`) fills it: which trial is best, which are on the front, what mattered, and the
intervals of percentiles are not the report's to find.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from itertools import islice
from typing import TypeVar

from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.slo import Slo
from tuner.domain.trial import Purpose, Study, Trial, TrialRole
from tuner.report.chart import Tone
from tuner.report.page_model import Verdict

MOST_TRIALS = 240
"""Trials that a page shows one by one: more can't be told apart in a chart, and make a page too large to mail."""
MOST_COMPARED = 6
"""Configurations whose capacities stand beside the answer's."""
MOST_CURVES = 4
"""Configurations whose latency curves stand in one chart: more can't be followed."""

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
    """How much one parameter mattered to one objective."""

    objective: str
    parameter: str
    share: float
    """0 to 1, by Optuna's definition."""
    lower: float
    """Lower end of its 90 % interval."""
    upper: float
    is_apart: bool
    """Whether it is told apart from chance."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What mattered in a study."""

    single: tuple[Weight, ...] = ()
    pairs: tuple[tuple[str, str, str, float], ...] = ()
    """Objective, and two parameters that have to be chosen together: the share that they explain only together."""
    notes: tuple[str, ...] = ()
    """Why there are none, or why they are to be doubted."""


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
    weights: Weights = Weights()
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


def compared(material: Material, most: int = MOST_COMPARED) -> tuple[Trial, ...]:
    """Return the trials worth a curve each: the best, the defaults, candidates, ties, then some of the front.

    Of ties and of the front those with the highest capacity come first.
    """
    by_tone = defaultdict[Tone, list[Trial]](list)
    for trial in material.trials:
        if trial.number in material.judged:
            by_tone[material.tone(trial)].append(trial)
    for tone in (Tone.TIE, Tone.FRONT):
        by_tone[tone].sort(key=lambda trial: -material.judged[trial.number].capacity.rps)
    named = [trial for tone in (Tone.BEST, Tone.DEFAULTS, Tone.CANDIDATE, Tone.TIE) for trial in by_tone[tone]]
    return tuple((*named, *by_tone[Tone.FRONT][: max(_FEWEST_COMPARED - len(named), 0)])[:most])


def shown(material: Material, most: int = MOST_TRIALS) -> tuple[Trial, ...]:
    """Return the trials that the page shows one by one, by number: all, or those that matter and an even choice."""
    launched = [trial for trial in material.trials if not trial.state.is_unlaunched]
    if len(launched) <= most:
        return tuple(launched)
    first = list(islice(_that_matter(material, launched), most))
    taken = {trial.number for trial in first}
    rest = [trial for trial in launched if trial.number not in taken]
    return tuple(sorted((*first, *evenly(rest, most - len(first))), key=lambda trial: trial.number))


def _that_matter(material: Material, launched: Sequence[Trial]) -> Iterator[Trial]:
    """Yield the compared, the front, candidates, the repeated, one failure of each kind; each trial once."""
    kinds = {trial.failure.kind: trial for trial in reversed(launched) if trial.failure}
    on_front = {number for number, judged in material.judged.items() if judged.on_front}
    first = {trial.number for trial in (*compared(material), *kinds.values())}
    named = first | on_front
    yield from (trial for trial in launched if trial.number in first)
    yield from (trial for trial in launched if trial.number in on_front - first)
    yield from (
        trial
        for trial in launched
        if trial.number not in named and (trial.role is TrialRole.CANDIDATE or is_repeated(trial))
    )


def is_repeated(trial: Trial) -> bool:
    """Return whether a trial's configuration was launched again to confirm it."""
    return any(launch.purpose is Purpose.CONFIRM for launch in trial.launches)


def evenly(items: Sequence[_T], count: int) -> list[_T]:
    """Return so many of the items, evenly spread over them."""
    if count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(count)] if count > 0 else []
