"""The optimisation history."""

from tests.fakes.nights import make_material
from tuner.report.chart import Plot, Tone
from tuner.report.figures.history import history_figure
from tuner.report.material import shown


def charts() -> list[Plot]:
    material = make_material()
    return [chart for chart in history_figure(material, shown(material)).charts if isinstance(chart, Plot)]


def test_the_best_so_far_only_rises_for_capacity_and_only_falls_for_latency():
    rising, falling = ([point.y for point in chart.series[0].points] for chart in charts())
    assert rising == [4.0, 6.0, 8.0, 8.0]
    assert falling == sorted(falling, reverse=True)


def test_the_line_goes_on_to_the_last_trial():
    assert charts()[0].series[0].points[-1].x == 6


def test_a_failed_trial_is_a_cross_at_the_foot_and_never_a_figure():
    for chart in charts():
        (failed,) = next(series.points for series in chart.series if series.tone is Tone.FAILED)
        assert (failed.trial, failed.y) == (5, 0.0)
        assert "torch.OutOfMemoryError: CUDA out of memory" in failed.label


def test_a_study_without_a_measured_trial_says_so():
    assert history_figure(make_material(judged={}), ()).missing
