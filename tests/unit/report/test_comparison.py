"""Several studies side by side."""

from dataclasses import replace

from tests.fakes.nights import make_material, named
from tuner.domain.slo import parse_slo
from tuner.domain.workload import Workload
from tuner.report.chart import Plot
from tuner.report.comparison import comparison_figures


def test_each_study_has_its_answer_and_its_front():
    answers, fronts = comparison_figures((make_material(label="h100"), make_material(label="a100", best=2)))
    capacities, front = answers.charts[0], fronts.charts[0]
    assert isinstance(capacities, Plot)
    assert isinstance(front, Plot)
    assert [(series.name, series.points[0].x) for series in capacities.series] == [("h100", 8.0), ("a100", 5.0)]
    assert [len(series.points) for series in front.series] == [3, 3]
    assert [row[4] for row in answers.tables[0].rows] == ["trial 3", "trial 2"]


def test_equal_questions_need_no_warning():
    assert comparison_figures((make_material(), make_material()))[0].notes == ()


def test_what_keeps_studies_from_being_compared_is_said():
    one = make_material(label="one")
    other = replace(
        make_material(label="other", slos=(parse_slo("ttft_p95=300ms"),), target_rps=4.0),
        study=named(one.study, workload=Workload.model_validate({"input_tokens": 7, "output_tokens": 9})),
    )
    notes = comparison_figures((one, other))[0].notes
    assert [word for word in ("workloads", "SLOs", "target rates") if any(word in note for note in notes)] == [
        "workloads", "SLOs", "target rates",
    ]  # fmt: skip


def test_a_study_with_other_objectives_is_left_out_of_the_fronts_and_named():
    other = make_material(label="other", metrics=("capacity_rps", "tpot_p95"))
    _, fronts = comparison_figures((make_material(), other))
    assert fronts.charts[0].points == 3
    assert "other" in fronts.notes[0]


def test_a_study_without_an_answer_has_a_row_and_no_mark():
    bare = make_material(label="bare", best=None, judged={})
    answers, _ = comparison_figures((make_material(), bare))
    assert [row[0] for row in answers.tables[0].rows] == ["night", "bare"]
    assert answers.charts[0].points == 1
