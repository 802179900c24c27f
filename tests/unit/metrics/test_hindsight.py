"""What stored load points say under other SLOs, on whole searches of a simulated queue."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.benchmarks.capacity.queue import SlotQueue
from tests.fakes.searches import SearchedTrial, load_point, loaded, search
from tuner.domain.load import Outcome
from tuner.domain.slo import Slo, parse_slo
from tuner.domain.study import LoadPlan
from tuner.metrics.columns import Columns
from tuner.metrics.evidence import Measured
from tuner.metrics.hindsight import Known, Question, Seen, deciding, known, seen_under, told_of
from tuner.metrics.search import Probe, next_probe
from tuner.metrics.windows import steady_window

QUEUE = SlotQueue(slots=16, service_s=2.0)
OWN = (parse_slo("ttft_p95=500ms"),)
PLAN = LoadPlan(tolerance=0.05, time_budget=3600.0, max_points=30)
TARGET = 3.0


@pytest.fixture(scope="module")
def searched() -> SearchedTrial:
    return search(QUEUE, PLAN, OWN, TARGET)


def ask(slos: Sequence[Slo]) -> Question:
    return Question(PLAN, tuple(slos), TARGET)


def seen(searched: SearchedTrial, slos: Sequence[Slo]) -> list[Seen]:
    return [
        seen_under(slos, told_of(point), Columns.of(searched.records[point.index]))
        for point in searched.trial.load_points
    ]


def measured(searched: SearchedTrial, slos: Sequence[Slo]) -> list[Measured]:
    return [one.measured for one in seen(searched, slos) if one.measured is not None]


def look(searched: SearchedTrial, *slos: str) -> Known:
    parsed = tuple(map(parse_slo, slos))
    return known(ask(parsed), measured(searched, parsed))


@pytest.mark.parametrize("seed", range(4))
def test_under_the_searchs_own_slos_the_capacity_is_the_one_that_it_found(seed: int):
    again = search(QUEUE, PLAN, OWN, TARGET, seed)
    assert any(point.summary.given_up for point in again.trial.load_points)
    found = known(ask(OWN), measured(again, OWN))
    assert found.capacity == again.trial.capacity
    assert found.next is None


@pytest.mark.parametrize("seed", range(4))
def test_a_looser_slo_never_lowers_the_capacity(seed: int):
    again = search(QUEUE, PLAN, OWN, TARGET, seed)
    limits = (50, 150, 300, 500, 1000, 3000)
    rates = [look(again, f"ttft_p95={limit}ms").capacity.rps for limit in limits]
    assert all(tight <= loose * 1.02 for tight, loose in pairwise(rates))
    assert rates[0] < rates[-1]


def test_goodput_is_counted_by_hand_in_the_steady_window(searched: SearchedTrial):
    whole = [one for one in searched.trial.load_points if not one.summary.given_up]
    for point in whole:
        records = searched.records[point.index]
        window = steady_window(records, point.arrivals)
        good = [
            record
            for record in records
            if record.outcome is Outcome.OK
            and window.start < record.finished_at <= window.end
            and record.event_times[0] - record.scheduled_at <= 0.1
            and record.event_times[-1] - record.scheduled_at <= 2.1
        ]
        slos = [parse_slo("ttft_p50=100ms"), parse_slo("e2e_p99=2100ms")]
        found = seen_under(slos, told_of(point), Columns.of(records))
        assert found.goodput_rps == pytest.approx(len(good) / (window.end - window.start))
        assert found.goodput_rps <= point.summary.achieved_rps


def test_a_load_point_given_up_for_a_tight_limit_says_nothing_of_a_loose_one(searched: SearchedTrial):
    given_up = [point.index for point in searched.trial.load_points if point.summary.given_up]
    loose = seen(searched, [parse_slo("ttft_p95=60s")])
    for index in given_up:
        assert loose[index].measured is None
    tight = seen(searched, [parse_slo("ttft_p95=200ms")])
    assert all(tight[index].measured is not None for index in given_up)


def test_where_nothing_broke_the_next_load_point_lies_above_what_was_measured(searched: SearchedTrial):
    found = look(searched, "ttft_p95=60s")
    assert found.capacity.upper_rps is None
    assert found.next is not None
    assert found.next.rate > found.capacity.rps


def test_a_crossing_in_a_gap_is_undecided_and_its_next_load_point_lies_in_the_gap():
    rates = (3.0, 7.5)
    slos = (parse_slo("ttft_p95=500ms"),)
    points = [_point(rate, number) for number, rate in enumerate(rates)]
    found = known(ask(slos), points)
    assert found.next is not None
    assert rates[0] < found.next.rate < rates[1]
    assert found.capacity.lower_rps < found.next.rate < (found.capacity.upper_rps or 0.0)


def test_the_deciding_load_point_is_the_one_that_a_search_without_a_budget_measures_next(searched: SearchedTrial):
    slos = (parse_slo("ttft_p95=2s"),)
    points = measured(searched, slos)
    free = PLAN.model_copy(update={"time_budget": None, "max_points": 1000})
    assert deciding(PLAN, slos, TARGET, points) == next_probe(free, slos, TARGET, points, 0.0)
    spent = PLAN.model_copy(update={"time_budget": 1.0, "max_points": 1})
    assert deciding(spent, slos, TARGET, points) == deciding(PLAN, slos, TARGET, points)


def test_measuring_what_is_named_comes_to_an_end_with_the_capacity_decided(searched: SearchedTrial):
    """Measured one after the other, the load points named narrow the capacity down under SLOs asked for later."""
    slos = (parse_slo("ttft_p95=200ms"),)
    points = measured(searched, slos)
    for number in range(20):
        probe = known(ask(slos), points).next
        if probe is None:
            break
        points.append(_evidence(probe, 5000 + number, slos))
    shown = known(ask(slos), points)
    assert shown.next is None
    assert shown.capacity.rps == pytest.approx(QUEUE.crossing(0.2, 0.95, runs=2, requests=200_000), rel=0.06)


def _point(rate: float, seed: int) -> Measured:
    return _evidence(Probe(rate, 300, (), "a rate"), seed, OWN)


def _evidence(probe: Probe, seed: int, slos: Sequence[Slo]) -> Measured:
    result = loaded(QUEUE, probe, seed)
    one = seen_under(slos, told_of(load_point(result, probe, 0, slos)), Columns.of(result.records)).measured
    assert one is not None
    return one
