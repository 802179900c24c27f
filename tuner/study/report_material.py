"""What a report of one study is made of: its trials judged, the front, intervals, the machine's readings.

Composes; draws nothing. Raw records are read for the few configurations whose curves stand on the page, never for all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

import numpy as np

from tuner.analysis.best import Contender
from tuner.analysis.drift import drift
from tuner.analysis.explain import explain_trial
from tuner.analysis.figures import figure, point_at
from tuner.domain.measurement import LoadPoint
from tuner.domain.slo import SLO_NAMES, Latency, Percentile, Slo
from tuner.domain.telemetry import MachineSample
from tuner.domain.trial import Study, Trial
from tuner.metrics.columns import Columns
from tuner.metrics.latency import itl, of_request
from tuner.metrics.spread import statistic_interval
from tuner.metrics.windows import steady_window
from tuner.report.figures.capacities import capacity_chart, capacity_table
from tuner.report.figures.curves import rated
from tuner.report.material import MOST_CURVES, Interval, Judged, Material, Reading, Weights, compared, evenly, shown
from tuner.study.answer import answer_among, contenders
from tuner.study.front import front
from tuner.study.rejudge import Records, columns_of
from tuner.study.report_words import no_verdict, verdict_of

_MOST_SAMPLED = 240
"""Load points whose machine readings are read; of each, a few are shown."""
_READINGS_EACH = 6
_NO_WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Question:
    """What a report is asked."""

    headroom: float
    target_rps: float | None = None
    """None: the study's own."""
    slos: tuple[Slo, ...] = ()
    """None given: the study's own."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is read of a result file when it is needed."""

    records: Records
    samples: Callable[[int, int], Sequence[MachineSample]]
    """By trial id and load point."""


def material_of(
    study: Study,
    trials: Sequence[Trial],
    question: Question,
    source: Source,
    *,
    label: str,
    zone: tzinfo,
    weights: Weights = _NO_WEIGHTS,
) -> Material:
    """Return a study as a report shows it.

    Args:
        study: the study.
        trials: all its trials.
        question: target rate, SLOs and headroom.
        source: how raw records and readings are read.
        label: what the study is called on the page.
        zone: in which times are written.
        weights: what mattered.
    """
    spec = study.spec
    target, slos = question.target_rps or spec.target_rps, question.slos or spec.slos
    asked = study.model_copy(update={"spec": spec.model_copy(update={"target_rps": target, "slos": slos})})
    among = contenders(trials, spec, slos, source.records)
    judged = {one.trial.number: one.trial for one in among}
    metrics = _metrics(spec.objectives)
    bare = Material(
        study=asked,
        label=label,
        trials=tuple(judged.get(trial.number, trial) for trial in trials),
        judged=_judged(asked, among, metrics),
        slos=tuple(slos),
        target_rps=target,
        headroom=question.headroom,
        metrics=metrics,
        verdict=no_verdict(study, target, question.headroom, slos),
        zone=zone,
        weights=weights,
        suspect=drifted.suspect if (drifted := drift(trials)) else frozenset(),
    )
    return _with_readings(_with_answer(bare, study, among), source)


def _metrics(objectives: Sequence[str]) -> tuple[str, ...]:
    """Return the figures of the front: the objectives, and a latency where there is but one."""
    if len(objectives) > 1:
        return tuple(objectives)
    return (*objectives, "ttft_p95" if "ttft_p95" not in objectives else "capacity_rps")


def _judged(study: Study, among: Sequence[Contender], metrics: Sequence[str]) -> Mapping[int, Judged]:
    trials = [one.trial.model_copy(update={"capacity": one.capacity}) for one in among]
    members = {member.trial for member in front(study, trials, metrics).trials if member.on_front}
    return {
        one.trial.number: Judged(
            one.capacity, one.points, _figures(one, metrics, study.spec.target_rps), one.trial.number in members
        )
        for one in among
    }


def _figures(one: Contender, metrics: Sequence[str], target_rps: float) -> dict[str, float]:
    at_target = point_at(one.points, target_rps)
    found = {name: figure(name, one.capacity, at_target) for name in metrics}
    return {name: value for name, value in found.items() if value is not None}


def _with_answer(material: Material, study: Study, among: Sequence[Contender]) -> Material:
    if not among:
        return material
    answer = answer_among(study, among, target_rps=material.target_rps, headroom=material.headroom, slos=material.slos)
    chosen = replace(material, best=answer.trial, ties=frozenset(answer.ties) - {answer.trial})
    verdict = replace(verdict_of(answer, material.slos), chart=capacity_chart(chosen), table=capacity_table(chosen))
    return replace(chosen, verdict=verdict)


def _with_readings(material: Material, source: Source) -> Material:
    trials = shown(material)
    return replace(
        material,
        intervals=dict(_intervals(material, source)),
        readings=tuple(_readings(trials, source)),
        reasons={trial.number: _reasons(material, trial) for trial in trials if trial.load_points},
    )


def _reasons(material: Material, trial: Trial) -> tuple[str, ...]:
    explained = explain_trial(trial, material.study.spec)
    return tuple(
        f"At {point.load}: {one.text}{f' {one.advice}' if one.advice else ''}"
        for point in explained
        for one in point.explanations
    )


def _intervals(material: Material, source: Source) -> Iterator[tuple[tuple[int, int, str], Interval]]:
    """Yield the interval of each percentile on the curves, for as many load points as are read."""
    trials = {trial.id: trial for trial in compared(material, MOST_CURVES)}
    points = {
        (trial.id, point.index): point
        for trial in trials.values()
        for point in rated(material.judged[trial.number].points)
        if not point.summary.given_up
    }
    for trial_id, index, stored in source.records.record_columns(list(trials)):
        if (trial_id, index) in points:
            for name, interval in _point_intervals(points[trial_id, index], columns_of(stored)):
                yield (trials[trial_id].number, index, name), interval


def _point_intervals(point: LoadPoint, records: Columns) -> Iterator[tuple[str, Interval]]:
    """Yield the intervals of one load point's percentiles, from the requests that its own percentiles are of."""
    held = steady_window(records, point.arrivals).holds(records.scheduled_at) & records.ok
    in_order = np.argsort(records.scheduled_at, kind="stable")
    ordered = records.take(in_order[held[in_order]])
    values = {latency: itl(ordered) if latency is Latency.ITL else of_request(latency, ordered) for latency in Latency}
    for name in SLO_NAMES:
        latency, _, percentile = name.partition("_")
        stored = point.summary.latency(Latency(latency)).statistic(Percentile(percentile))
        interval = statistic_interval(values[Latency(latency)], Percentile(percentile)) if stored is not None else None
        if interval is not None:
            yield name, interval


def _readings(trials: Sequence[Trial], source: Source) -> Iterator[Reading]:
    """Yield a few readings of each load point that has any, evenly chosen where there are too many."""
    sampled = [(trial, point) for trial in trials for point in trial.load_points if point.machine.samples]
    for trial, point in sorted(evenly(sampled, _MOST_SAMPLED), key=lambda pair: pair[1].started_at):
        samples = [sample for sample in source.samples(trial.id, point.index) if sample.at >= 0]
        for sample in evenly(samples, _READINGS_EACH):
            yield from _reading(point.started_at + timedelta(seconds=sample.at), sample)


def _reading(moment: datetime, sample: MachineSample) -> Iterator[Reading]:
    if sample.cpu_share is not None and not sample.gpus:
        yield Reading(moment, cpu_share=sample.cpu_share)
    for gpu in sample.gpus:
        yield Reading(moment, gpu.index, gpu.sm_clock_mhz, gpu.power_w, gpu.temperature_c)
