"""What a report of one study is made of."""

from collections.abc import Generator, Sequence
from datetime import UTC, timedelta

import numpy as np
import pytest

from tests.fakes.builders import BEGAN, make_study
from tests.fakes.nights import trials_of_night
from tuner.domain.load import Outcome, RequestRecord
from tuner.domain.slo import parse_slo
from tuner.domain.telemetry import GpuSample, MachineFigures, MachineSample
from tuner.domain.trial import Trial
from tuner.report.chart import Tone
from tuner.report.material import Material
from tuner.store.records_codec import RecordColumns, decode_columns, encode_records
from tuner.study.report_material import Question, Source, material_of


class Stored:
    """Raw records and readings of every load point, and which trials were asked for."""

    def __init__(self, *, pruned: bool = False) -> None:
        self.pruned = pruned
        self.asked: list[int] = []

    def record_columns(self, trial_ids: Sequence[int]) -> Generator[tuple[int, int, RecordColumns]]:
        self.asked += trial_ids
        for trial_id in () if self.pruned else trial_ids:
            for index in range(4):
                yield trial_id, index, decode_columns(encode_records(records(trial_id * 10 + index)))

    def samples(self, trial_id: int, index: int) -> Sequence[MachineSample]:
        gpu = GpuSample(index=0, power_w=600.0 + trial_id, sm_clock_mhz=1900.0 + index)
        return [MachineSample(at=at, gpus=(gpu,)) for at in (-1.0, 0.0, 1.0)]


def records(seed: int) -> list[RequestRecord]:
    """A hundred requests, one a second, whose first token takes 0.1 s on average."""
    waits = np.random.default_rng(seed).exponential(0.1, 100)
    return [
        RequestRecord(
            scheduled_at=float(at),
            sent_at=float(at),
            event_times=(at + wait, at + wait + 0.2),
            finished_at=at + wait + 0.2,
            outcome=Outcome.OK,
            input_tokens=128,
            output_tokens=11,
            requested_tokens=11,
        )
        for at, wait in enumerate(waits.tolist())
    ]


def material(
    trials: Sequence[Trial] | None = None, question: Question | None = None, stored: Stored | None = None
) -> Material:
    source = stored or Stored()
    return material_of(
        make_study(),
        trials_of_night() if trials is None else trials,
        question or Question(headroom=2.0),
        Source(source, source.samples),
        label="night",
        zone=UTC,
    )


def test_the_answer_is_the_one_of_tuner_best_with_its_chart():
    found = material()
    assert found.best is not None
    assert found.verdict.command.startswith("vllm serve m/tiny")
    assert found.verdict.chart is not None
    best = next(trial for trial in found.trials if trial.number == found.best)
    assert found.tone(best) in {Tone.BEST, Tone.DEFAULTS}


def test_every_measured_trial_is_judged_and_some_are_on_the_front():
    found = material()
    assert set(found.judged) == {0, 1, 2, 3, 4, 6}
    assert 3 in {number for number, judged in found.judged.items() if judged.on_front}
    assert found.judged[3].figures["capacity_rps"] == 8.0


def test_raw_records_are_read_for_the_curves_alone():
    stored = Stored()
    found = material(stored=stored)
    assert 0 < len(stored.asked) < len(found.judged) + 1
    assert {number for number, _, _ in found.intervals} <= {
        trial.number for trial in found.trials if trial.id in stored.asked
    }


def test_an_interval_holds_the_percentile_of_its_requests():
    found = material()
    low, high = found.intervals[found.best or 0, 0, "ttft_p50"]
    assert 0.04 < low < 0.1 < high + 0.05 < 0.2


def test_pruned_records_give_no_intervals():
    assert material(stored=Stored(pruned=True)).intervals == {}


def test_a_target_of_ones_own_moves_the_figures_to_the_nearest_rate_above():
    at_two, at_four = material(), material(question=Question(headroom=2.0, target_rps=4.0))
    assert at_four.judged[3].figures["ttft_p95"] > at_two.judged[3].figures["ttft_p95"]
    assert at_four.target_rps == 4.0
    assert "4 req/s" in at_four.verdict.question


def test_slos_of_ones_own_are_held_against_the_stored_records():
    slos = (parse_slo("ttft_p50=1ms"),)
    found = material(question=Question(headroom=2.0, slos=slos))
    assert found.slos == slos
    assert all(judged.capacity.rps == 0 for judged in found.judged.values())
    assert "out of reach" in found.verdict.headline


def test_readings_have_their_moment_and_those_before_the_load_are_left_out():
    sampled = MachineFigures(samples=3)
    trials = [
        trial.model_copy(
            update={"load_points": tuple(p.model_copy(update={"machine": sampled}) for p in trial.load_points[:1])}
        )
        for trial in trials_of_night()
        if trial.number == 3
    ]
    found = material(trials).readings
    assert [reading.moment for reading in found] == [BEGAN, BEGAN + timedelta(seconds=1)]
    assert {(reading.gpu, reading.power_w) for reading in found} == {(0, 604.0)}


def test_a_study_that_measured_nothing_has_a_verdict_that_says_so():
    failed = [trial for trial in trials_of_night() if trial.failure is not None]
    found = material(failed)
    assert found.best is None
    assert found.verdict.headline == "No trial of night was measured"
    assert found.verdict.command == ""


@pytest.mark.parametrize("objectives", [("ttft_p95",), ("capacity_rps",), ("capacity_rps", "ttft_p95", "tpot_p95")])
def test_the_front_has_the_objectives_and_at_least_two_figures(objectives: tuple[str, ...]):
    study = make_study(objectives=objectives)
    stored = Stored()
    found = material_of(
        study,
        trials_of_night(),
        Question(headroom=2.0),
        Source(stored, stored.samples),
        label="night",
        zone=UTC,
    )
    assert set(objectives) <= set(found.metrics)
    assert len(found.metrics) >= 2
