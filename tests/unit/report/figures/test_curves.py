"""Latency against rate."""

from dataclasses import replace

import pytest

from tests.fakes.builders import make_point
from tests.fakes.nights import capacity, make_material
from tuner.domain.measurement import LoadPoint
from tuner.domain.slo import parse_slo
from tuner.report.chart import Plot
from tuner.report.figures.curves import curves_figure
from tuner.report.material import Judged, Material


def charts(material: Material) -> dict[str, Plot]:
    return {chart.title: chart for chart in curves_figure(material).charts if isinstance(chart, Plot)}


def with_points(*points: LoadPoint) -> Material:
    material = make_material()
    judged = Judged(capacity(4.0), points, {"capacity_rps": 4.0, "ttft_p95": 0.1})
    return replace(material, judged={3: judged})


def test_there_is_a_chart_for_the_usual_percentiles_and_for_every_slo():
    assert list(charts(make_material())) == ["TTFT p50", "TTFT p95", "TPOT p50", "TPOT p95"]
    asked = make_material(slos=(parse_slo("e2e_p90=2s"),))
    assert list(charts(asked)) == ["TTFT p50", "TTFT p95", "TPOT p50", "TPOT p95", "E2E p90"]


def test_every_compared_configuration_has_a_curve_through_all_its_rates():
    chart = charts(make_material())["TTFT p95"]
    assert [series.name for series in chart.series] == [
        "trial 3", "vLLM's defaults (trial 0)", "candidate (trial 1)", "trial 6",
    ]  # fmt: skip
    assert all([point.x for point in series.points] == [2.0, 4.0, 6.0, 8.0] for series in chart.series)


def test_no_two_curves_look_alike():
    tones = [series.tone for series in charts(make_material(ties=frozenset({2, 4, 6})))["TTFT p95"].series]
    assert len(tones) == len(set(tones))


def test_a_limit_is_drawn_where_its_slo_is():
    found = charts(make_material())
    assert [limit.value for limit in found["TTFT p95"].limits if limit.axis == "y"] == [500.0]
    assert not [limit for limit in found["TTFT p50"].limits if limit.axis == "y"]


def test_a_percentile_has_its_interval_where_there_is_one():
    point = charts(make_material())["TTFT p95"].series[0].points[0]
    assert (point.y_low, point.y_high) == (150.0, 250.0)
    assert "(150 ms to 250 ms)" in point.label[1]


def test_a_load_point_that_broke_an_slo_is_hollow():
    points = charts(make_material())["TTFT p95"].series[1].points
    assert [point.hollow for point in points] == [False, False, True, True]


def test_a_load_point_that_was_given_up_is_at_least_what_it_shows():
    given_up = make_point(8.0, met=False, given_up="the SLO was out of reach")
    (point,) = charts(with_points(given_up))["TTFT p95"].series[0].points
    assert point.open_ended
    assert point.y_low == pytest.approx(point.y)


def test_a_load_point_that_the_client_bent_is_on_no_curve():
    bent = make_point(2.0, invalid=("the client used 95% of a core",))
    chart = charts(with_points(bent, make_point(4.0, index=1)))["TTFT p95"]
    assert [point.x for point in chart.series[0].points] == [4.0]


def test_the_axis_ends_where_more_says_nothing():
    far = make_point(8.0, ttft=60.0, met=False)
    assert charts(with_points(make_point(2.0), far))["TTFT p95"].y.most == 2000.0
    assert charts(make_material())["TTFT p95"].y.most is None


def test_pruned_records_are_said():
    assert "pruned" in curves_figure(make_material(intervals={})).lead
