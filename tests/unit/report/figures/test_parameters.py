"""Importances and parallel coordinates."""

from dataclasses import replace

from tests.fakes.nights import make_material
from tuner.report.chart import Parallel, Plot, Tone
from tuner.report.figures.parameters import importance_figure, parallel_figure
from tuner.report.material import Material, Weights, shown


def parallel(material: Material) -> Parallel:
    chart = parallel_figure(material, shown(material)).charts[0]
    assert isinstance(chart, Parallel)
    return chart


def test_an_importance_is_a_bar_in_percent_with_its_interval_the_longest_first():
    (chart,) = importance_figure(make_material()).charts
    assert isinstance(chart, Plot)
    assert chart.y.categories == ("max-num-seqs", "max-num-batched-tokens")
    mattered, chance = chart.series
    assert [(point.y, point.x, point.x_low, point.x_high) for point in mattered.points] == [
        ("max-num-seqs", 70.0, 50.0, 90.0)
    ]
    assert (chance.points[0].y, chance.tone) == ("max-num-batched-tokens", Tone.OTHER)


def test_parameters_that_must_be_chosen_together_are_listed():
    *_, pairs = importance_figure(make_material()).tables
    assert pairs.rows == (("capacity", "max-num-seqs with max-num-batched-tokens", "12%"),)


def test_without_importances_it_says_why():
    assert importance_figure(make_material(weights=Weights(notes=("too few trials",)))).missing == "too few trials"


def test_every_measured_trial_crosses_its_parameters_and_its_figures():
    chart = parallel(make_material())
    assert [axis.label for axis in chart.axes] == ["max-num-seqs", "max-num-batched-tokens", "capacity", "TTFT p95"]
    assert len(chart.threads) == 6
    best = next(thread for thread in chart.threads if thread.tone is Tone.BEST)
    assert best.places[:3] == (24.0, 384.0, 8.0)


def test_a_flag_that_a_trial_does_not_have_leaves_its_axis_out():
    defaults = next(thread for thread in parallel(make_material()).threads if thread.tone is Tone.DEFAULTS)
    assert defaults.places[:2] == (None, None)


def test_a_search_over_ratios_has_a_logarithmic_axis():
    assert [axis.scale for axis in parallel(make_material()).axes] == ["log", "log", "linear", "linear"]


def test_switches_and_names_are_categories():
    material = make_material()
    trials = tuple(
        trial.model_copy(update={"resolved": {"max-num-seqs": trial.number % 2 == 0}}) for trial in material.trials
    )
    chart = parallel(replace(material, trials=trials))
    assert chart.axes[0].categories == ("off", "on")
    assert {thread.places[0] for thread in chart.threads} == {"on", "off"}
