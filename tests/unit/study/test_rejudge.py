"""Trials judged by other SLOs: what counts, what is read, and what stands in where records are gone."""

from collections.abc import Generator, Sequence
from dataclasses import replace

import pytest

from tests.benchmarks.capacity.queue import SlotQueue
from tests.fakes.builders import make_spec, make_trial
from tests.fakes.searches import SearchedTrial, launch, load_point, loaded, search
from tuner.domain.slo import parse_slo
from tuner.domain.study import LoadPlan, StudySpec
from tuner.domain.trial import Purpose, TrialState
from tuner.metrics.hindsight import deciding
from tuner.metrics.search import Probe
from tuner.store.records_codec import RecordColumns
from tuner.study.answer import contenders
from tuner.study.rejudge import evidence_so_far, rejudged

QUEUE = SlotQueue(slots=16, service_s=2.0)
OWN = (parse_slo("ttft_p95=500ms"),)
TIGHT = (parse_slo("ttft_p95=200ms"),)
LOOSE = (parse_slo("ttft_p95=60s"),)
PLAN = LoadPlan(time_budget=3600.0, max_points=30)


class Unreadable:
    """A result file whose records nobody may read."""

    def record_columns(self, trial_ids: Sequence[int]) -> Generator[tuple[int, int, RecordColumns]]:
        raise AssertionError(f"records of {trial_ids} were read")
        yield


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    return make_spec(target_rps=3.0, load=PLAN)


@pytest.fixture(scope="module")
def searched() -> SearchedTrial:
    return search(QUEUE, PLAN, OWN, 3.0)


@pytest.fixture(scope="module")
def refined(searched: SearchedTrial) -> SearchedTrial:
    """The same trial after a second launch, for load points under the tight SLOs."""
    trial = searched.trial
    probe = Probe(5.4, 800, (), "at the crossing")
    result = loaded(QUEUE, probe, 77)
    point = load_point(result, probe, len(trial.load_points), OWN, attempt=2)
    again = trial.model_copy(
        update={
            "load_points": (*trial.load_points, point),
            "launches": (*trial.launches, launch(2, Purpose.REFINE, trial.capacity)),
        }
    )
    return SearchedTrial(again, searched.records | {point.index: result.records})


def test_for_the_studys_own_slos_nothing_is_read_and_nothing_changes(searched: SearchedTrial, spec: StudySpec):
    (found,) = rejudged([searched.trial], spec, OWN, Unreadable())
    assert found.trial is searched.trial
    assert found.points == searched.trial.load_points
    assert found.undecided is None


def test_recomputed_from_the_records_the_capacity_is_the_stored_one(searched: SearchedTrial, spec: StudySpec):
    others = spec.model_copy(update={"slos": LOOSE})
    (found,) = rejudged([searched.trial], others, OWN, searched)
    assert found.trial.capacity == searched.trial.capacity
    for now, then in zip(found.trial.load_points, searched.trial.load_points, strict=True):
        assert now.summary.goodput_rps == pytest.approx(then.summary.goodput_rps)
        assert now.summary.slo_met == then.summary.slo_met


def test_every_part_of_a_trial_is_judged(searched: SearchedTrial, spec: StudySpec):
    (found,) = contenders([searched.trial], spec, TIGHT, searched)
    assert searched.trial.capacity is not None
    assert found.capacity.rps < searched.trial.capacity.rps
    assert found.trial.capacity == found.capacity
    assert found.trial.values["capacity_rps"] == found.capacity.rps
    assert found.trial.launches[0].capacity == found.capacity
    assert found.points == found.trial.load_points
    at_target = found.points[0].summary
    assert at_target.goodput_rps <= searched.trial.load_points[0].summary.goodput_rps


def test_what_is_open_is_said_with_the_load_point_that_would_tell(searched: SearchedTrial, spec: StudySpec):
    (found,) = rejudged([searched.trial], spec, LOOSE, searched)
    assert found.undecided is not None
    told = str(found.undecided)
    assert "the capacity is at least" in told
    assert "says nothing of these SLOs" in told
    assert f"{found.undecided.requests} requests at {found.undecided.rate:.3g} req/s would tell" in told
    so_far = evidence_so_far(searched.trial, LOOSE, searched)
    assert so_far is not None
    probe = deciding(spec.load, LOOSE, 3.0, so_far)
    assert probe is not None
    assert (probe.rate, probe.requests) == (found.undecided.rate, found.undecided.requests)


def test_a_load_point_given_up_for_a_tight_limit_proves_nothing_about_a_loose_one(
    searched: SearchedTrial, spec: StudySpec
):
    (found,) = rejudged([searched.trial], spec, LOOSE, searched)
    given_up = [point.summary for point in found.points if point.summary.given_up]
    assert given_up
    for summary in given_up:
        assert not summary.slo_met
        assert "proves nothing" in summary.slo_violations[0]


def test_load_points_of_a_refining_launch_join_those_of_the_trial(
    searched: SearchedTrial, refined: SearchedTrial, spec: StudySpec
):
    (alone,) = rejudged([searched.trial], spec, TIGHT, searched)
    (joined,) = rejudged([refined.trial], spec, TIGHT, refined)
    assert len(joined.points) == len(alone.points) + 1
    assert joined.trial.capacity is not None
    assert alone.trial.capacity is not None
    assert joined.trial.capacity.rps != alone.trial.capacity.rps
    assert joined.trial.launches[1].capacity == joined.trial.capacity
    own, tight = rejudged([refined.trial], spec, OWN, refined)[0], alone.trial.launches[0].capacity
    assert own.trial.capacity is not None
    assert own.undecided is None
    assert joined.trial.launches[0].capacity == tight


def test_a_drift_check_is_judged_too_and_joins_nothing(refined: SearchedTrial, spec: StudySpec):
    launches = (refined.trial.launches[0], launch(2, Purpose.DRIFT, refined.trial.capacity))
    checked = refined.trial.model_copy(update={"launches": launches})
    (found,) = rejudged([checked], spec, TIGHT, SearchedTrial(checked, refined.records))
    assert len(found.points) == len(checked.load_points) - 1
    capacity = found.trial.launches[1].capacity
    assert capacity is not None
    assert capacity.upper_rps is None or capacity.rps == 0.0


@pytest.mark.parametrize("gone", [0, 1])
def test_where_records_are_gone_stored_percentiles_stand_in_and_it_is_said(
    searched: SearchedTrial, spec: StudySpec, gone: int
):
    pruned = replace(searched, records={index: its for index, its in searched.records.items() if index != gone})
    (found,) = rejudged([searched.trial], spec, TIGHT, pruned)
    assert found.trial.capacity is not None
    assert "request records are gone" in found.trial.capacity.note
    assert evidence_so_far(searched.trial, TIGHT, pruned) is None


def test_a_trial_that_was_not_measured_gets_no_capacity(searched: SearchedTrial, spec: StudySpec):
    failed = searched.trial.model_copy(update={"state": TrialState.FAILED, "capacity": None, "values": {}})
    never = make_trial(7, state=TrialState.INFEASIBLE)
    found = rejudged([failed, never], spec, TIGHT, searched)
    assert [one.trial.capacity for one in found] == [None, None]
    assert found[1].trial is never
