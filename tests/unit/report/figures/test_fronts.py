"""The Pareto front as a chart."""

from dataclasses import replace

from tests.fakes.nights import make_material
from tuner.domain.measurement import Capacity
from tuner.report.chart import Plot, Point, Tone
from tuner.report.figures.fronts import front_figure
from tuner.report.material import Judged, Material, shown


def chart_of(material: Material) -> Plot:
    chart = front_figure(material, shown(material)).charts[0]
    assert isinstance(chart, Plot)
    return chart


def points(chart: Plot, tone: Tone) -> tuple[Point, ...]:
    return next((each.points for each in chart.series if each.tone is tone and each.marks == "dots"), ())


def test_each_measured_trial_is_one_mark_by_what_it_stands_for():
    chart = chart_of(make_material())
    assert chart.points == 6
    assert [point.trial for point in points(chart, Tone.BEST)] == [3]
    assert [point.trial for point in points(chart, Tone.OTHER)] == [4]


def test_latencies_are_in_milliseconds_and_the_limit_is_drawn():
    chart = chart_of(make_material())
    (best,) = points(chart, Tone.BEST)
    assert (best.x, round(float(best.y))) == (8.0, 190)
    assert {(limit.axis, limit.value) for limit in chart.limits} == {("y", 500.0), ("x", 2.0)}


def test_the_line_of_the_front_goes_through_the_front_in_order_and_promises_nothing_between():
    line = next(each for each in chart_of(make_material()).series if each.marks == "none")
    assert [point.x for point in line.points] == [4.0, 5.0, 8.0]
    assert line.line == "step-before"


def test_intervals_are_drawn_for_the_trials_that_have_a_name_and_not_for_the_crowd():
    chart = chart_of(make_material())
    (best,), (other,) = points(chart, Tone.BEST), points(chart, Tone.OTHER)
    assert best.x_low is not None
    assert other.x_low is None


def test_a_capacity_without_an_upper_end_is_open():
    material = make_material()
    open_ended = Judged(Capacity(rps=8.0, lower_rps=7.0, upper_rps=None), (), material.judged[3].figures, on_front=True)
    chart = chart_of(replace(material, judged={**material.judged, 3: open_ended}))
    (best,) = points(chart, Tone.BEST)
    assert best.open_ended
    assert best.x_high is None


def test_without_figures_it_says_why_there_is_no_front():
    assert front_figure(make_material(judged={}), ()).missing


def test_without_a_front_among_the_shown_trials_there_is_no_line():
    material = make_material()
    other = [trial for trial in shown(material) if trial.number == 4]
    (chart,) = front_figure(material, other).charts
    assert isinstance(chart, Plot)
    assert [series.name for series in chart.series] == ["beaten by another"]


def test_the_table_lists_the_front_best_first():
    material = make_material()
    (table,) = front_figure(material, shown(material)).tables
    assert [row[0] for row in table.rows] == ["trial 3", "trial 2", "vLLM's defaults (trial 0)"]
