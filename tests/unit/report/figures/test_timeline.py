"""The night in time."""

from datetime import timedelta, timezone

from tests.fakes.builders import BEGAN
from tests.fakes.nights import make_material
from tuner.report.chart import Lanes, Plot, Tone
from tuner.report.figures.timeline import timeline_figure
from tuner.report.material import Material, shown


def charts(material: Material) -> dict[str, Lanes | Plot]:
    found = timeline_figure(material, shown(material)).charts
    return {chart.id: chart for chart in found if isinstance(chart, (Lanes, Plot))}


def lanes(material: Material) -> Lanes:
    chart = charts(material)["night"]
    assert isinstance(chart, Lanes)
    return chart


def test_each_purpose_has_a_lane_and_so_have_the_load_points():
    assert lanes(make_material()).lanes == ("measuring", "drift checks", "confirming", "load points")


def test_a_launch_is_its_start_and_what_came_after():
    first, second = [span for span in lanes(make_material()).spans if span.lane == "drift checks"]
    assert (first.end - first.start, second.end - second.start) == (20_000.0, 35_000.0)
    assert (first.tone, second.tone) == (Tone.OTHER, Tone.DRIFT)


def test_a_failed_launch_stands_out_with_its_reason():
    failed = [span for span in lanes(make_material()).spans if span.tone is Tone.FAILED]
    assert [span.trial for span in failed] == [5]
    assert any("CUDA out of memory" in line for line in failed[0].label)


def test_times_are_those_of_the_zone():
    tokyo = timezone(timedelta(hours=9))
    start = min(span.start for span in lanes(make_material(zone=tokyo)).spans)
    assert start == (BEGAN + timedelta(hours=9)).timestamp() * 1e3


def test_the_defaults_measured_again_show_the_drift():
    chart = charts(make_material())["drift"]
    assert isinstance(chart, Plot)
    assert [point.y for point in chart.series[0].points] == [4.0, 4.1, 3.9]


def test_each_gpu_has_a_line_for_its_clock_and_its_power():
    found = charts(make_material())
    clock, power = found["machine-clock"], found["machine-power"]
    assert isinstance(clock, Plot)
    assert isinstance(power, Plot)
    assert [series.name for series in clock.series] == ["GPU 0", "GPU 1"]
    assert [point.y for point in power.series[1].points] == [651.0] * 7


def test_a_quiet_night_needs_no_note():
    assert timeline_figure(make_material(), shown(make_material())).notes == ()


def test_missing_readings_and_suspect_trials_are_said():
    suspect, readings = timeline_figure(
        make_material(readings=(), suspect=frozenset({4, 2})), shown(make_material())
    ).notes
    assert suspect.endswith("2, 4.")
    assert "No machine readings" in readings


def test_a_night_without_a_launch_says_so():
    assert timeline_figure(make_material(), ()).missing
