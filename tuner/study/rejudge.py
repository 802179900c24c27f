"""Trials judged anew by any SLOs, from their stored request records.

Owns which load points count for which capacity, and what stands in where records were pruned. What load points say
under other SLOs, `tuner.metrics.hindsight` owns; how their records are read, `tuner.study.weighing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.analysis.undecided import Undecided
from tuner.domain.measurement import Capacity, LoadPoint, LoadSummary
from tuner.domain.slo import Slo
from tuner.domain.study import CAPACITY, StudySpec
from tuner.domain.trial import Launch, Purpose, Study, Trial, TrialState
from tuner.metrics.capacity import capacity_of_points
from tuner.metrics.evidence import Measured
from tuner.metrics.hindsight import Case, Question, Weighed, heard, seen_under, told_of
from tuner.metrics.verdict import judged
from tuner.study.weighing import Records, columns_of, requests_by_trial, weighed

__all__ = ["Records", "Rejudged", "basis_of", "columns_of", "evidence_so_far", "rejudged", "under"]

_GONE = "the request records are gone: judged by stored percentiles, and the interval is the bracket"
_OTHERS = "its load points were chosen for other SLOs"
_SILENT = "given up under other limits, which proves nothing about these"


@dataclass(frozen=True, slots=True)
class Rejudged:
    """A trial under the SLOs that were asked for."""

    trial: Trial
    """Its capacity, its launches' capacities and the figures of all its load points are those under these SLOs."""
    points: tuple[LoadPoint, ...]
    """What its capacity rests on: the load points of the launch that measured it, and of those that refined it."""
    undecided: Undecided | None = None
    """What the load points leave open; None for the SLOs that they were chosen for."""


def rejudged(
    trials: Sequence[Trial], spec: StudySpec, slos: Sequence[Slo], records: Records | None = None
) -> tuple[Rejudged, ...]:
    """Return trials, in their order, judged by SLOs.

    For the study's own SLOs what is stored is the answer, and no record is read but those of trials that were refined.

    Args:
        trials: of one study, with their load points.
        spec: the study.
        slos: what they are held against.
        records: the result file; without it stored percentiles have to do, and the intervals are brackets.
    """
    own = set(slos) == set(spec.slos)
    due = [one for one in trials if one.load_points and (not own or one.launches_for(Purpose.REFINE))]
    question = Question(spec.load, tuple(slos), spec.target_rps)
    found = weighed(question, {one.id: _case(one) for one in due}, records)
    judgements = {one.id: _Judgement(question, one, found.get(one.id, _UNREAD), own=own) for one in due}
    return tuple(judgements[one.id].whole() if one.id in judgements else Rejudged(one, basis_of(one)) for one in trials)


def under(study: Study, slos: Sequence[Slo]) -> Study:
    """Return a study as if it had been for these SLOs: what explains and prints a trial reads them there."""
    return study.model_copy(update={"spec": study.spec.model_copy(update={"slos": tuple(slos)})})


def evidence_so_far(trial: Trial, slos: Sequence[Slo], records: Records) -> tuple[Measured, ...] | None:
    """Return what a trial's load points say to a search under these SLOs; None where records of some were pruned.

    `tuner.metrics.hindsight.deciding` and `tuner.metrics.search.next_probe` go on from it.
    """
    requests = dict(requests_by_trial(records, [trial.id])).get(trial.id, {})
    rated = [point for point in basis_of(trial) if point.arrivals.offered_rps is not None]
    if any(point.index not in requests for point in rated):
        return None
    seen = {point.index: seen_under(slos, told_of(point), requests[point.index]) for point in rated}
    return heard(seen, seen)


def basis_of(trial: Trial) -> tuple[LoadPoint, ...]:
    """Return the load points that a trial's capacity rests on: of its own launch, and of those that refined it."""
    refining = {launch.attempt for launch in trial.launches_for(Purpose.REFINE)}
    return (*trial.judged_points, *(point for point in trial.load_points if point.attempt in refining))


def _case(trial: Trial) -> Case:
    groups = [_rated(basis_of(trial)), *(_rated(_points_of(trial, launch)) for launch in trial.launches)]
    return Case({point.index: told_of(point) for point in trial.load_points}, tuple(dict.fromkeys(groups)))


def _points_of(trial: Trial, launch: Launch) -> tuple[LoadPoint, ...]:
    """Return what a launch's own capacity rests on; nothing where it has none."""
    if launch.capacity is None:
        return ()
    return basis_of(trial) if launch.purpose is Purpose.REFINE else trial.points_of(launch.attempt)


def _rated(points: Sequence[LoadPoint]) -> tuple[int, ...]:
    return tuple(point.index for point in points if point.arrivals.offered_rps is not None)


_UNREAD = Weighed({}, frozenset(), {})


@dataclass(frozen=True, slots=True)
class _Judgement:
    """Puts what the requests say in the place of what is stored."""

    question: Question
    trial: Trial
    weighed: Weighed
    own: bool
    """Whether the SLOs are the study's own."""

    def whole(self) -> Rejudged:
        trial = self.trial
        points = {point.index: self._point(point) for point in trial.load_points}
        basis = tuple(points[point.index] for point in basis_of(trial))
        changed = trial.model_copy(
            update={"load_points": tuple(points.values()), "launches": tuple(map(self._launch, trial.launches))}
        )
        if trial.state is TrialState.MEASURED:
            capacity = self._capacity(basis)
            values = {**trial.values, CAPACITY: capacity.rps} if CAPACITY in trial.values else trial.values
            changed = changed.model_copy(update={"capacity": capacity, "values": values})
        return Rejudged(changed, basis, self._undecided(basis))

    def _point(self, point: LoadPoint) -> LoadPoint:
        return point.model_copy(update={"summary": self._summary(point)})

    def _summary(self, point: LoadPoint) -> LoadSummary:
        summary = judged(point.summary, self.question.slos)
        changes: dict[str, object] = {}
        if point.index in self.weighed.goodput:
            changes["goodput_rps"] = self.weighed.goodput[point.index]
        if point.index in self.weighed.silent:
            changes["slo_violations"] = (_SILENT,)
        return summary.model_copy(update=changes)

    def _launch(self, launch: Launch) -> Launch:
        """Return a launch with its capacity under these SLOs: none where no load point of it is left to show one."""
        if launch.capacity is None:
            return launch
        points = _points_of(self.trial, launch)
        return launch.model_copy(update={"capacity": self._capacity(points) if points else None})

    def _capacity(self, points: Sequence[LoadPoint]) -> Capacity:
        found = self.weighed.known.get(_rated(points))
        if found is None:
            stored = [self._point(point) for point in points]
            return capacity_of_points(stored, self.question.slos).model_copy(update={"note": _GONE})
        if self.own:
            return found.capacity
        return found.capacity.model_copy(update={"note": _OTHERS if found.next else ""})

    def _undecided(self, points: Sequence[LoadPoint]) -> Undecided | None:
        found = self.weighed.known.get(_rated(points))
        if self.own or found is None or found.next is None or self.trial.state is not TrialState.MEASURED:
            return None
        shown = found.capacity
        silent = (point.arrivals.offered_rps for point in points if point.index in self.weighed.silent)
        return Undecided(
            lower_rps=shown.rps if shown.upper_rps is None else shown.lower_rps,
            upper_rps=shown.upper_rps,
            rate=found.next.rate,
            requests=found.next.requests,
            silent=tuple(sorted(rate for rate in silent if rate is not None)),
        )
