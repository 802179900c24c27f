"""Failures by kind."""

from dataclasses import replace

from tests.fakes.nights import OUT_OF_MEMORY, launch, make_material
from tuner.report.figures.failures import failures_figure


def test_each_kind_has_its_count_its_proof_and_its_advice():
    (table,) = failures_figure(make_material()).tables
    assert table.rows[0] == (
        "oom start", "1", "5", "torch.OutOfMemoryError: CUDA out of memory", "Lower the utilisation.",
    )  # fmt: skip
    assert table.rows[1][:3] == ("infeasible", "1", "7")


def test_a_night_without_failures_says_so():
    measured = tuple(trial for trial in make_material().trials if trial.failure is None)
    assert failures_figure(make_material(trials=measured)).missing == "No trial failed."


def test_a_launch_that_failed_before_its_trial_was_measured_is_counted_apart():
    material = make_material()
    first, *others = material.trials
    retried = first.model_copy(
        update={"launches": (launch(0).model_copy(update={"failure": OUT_OF_MEMORY}), *first.launches)}
    )
    assert failures_figure(replace(material, trials=(retried, *others))).notes == (
        "1 failed launch of trials that were measured in the end.",
    )
