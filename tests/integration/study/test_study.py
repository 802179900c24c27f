"""Whole studies through the command line, against the fake engine and a real SQLite file."""

import sqlite3
from pathlib import Path

import optuna
import pytest

from tests.fakes.workbench import Workbench
from tuner.domain.load import Outcome
from tuner.domain.trial import Study, Trial
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader

DEFAULT_SEQS = 8
"""The fake engine's own default."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(tmp_path_factory.mktemp("night"))
    study = bench.study(candidates=["--max-num-seqs 2", {"max-num-seqs": DEFAULT_SEQS}], budget={"trials": 4})
    done = bench.tuner("run", study, env={"HF_TOKEN": "hf_CANARY_0123456789"})
    assert done.returncode == 0, done.stderr
    return bench


def stored(bench: Workbench) -> tuple[Study, tuple[Trial, ...]]:
    with open_reader(DatabaseLocation.parse(str(bench.database))) as reader:
        study = reader.study("night")
        assert study is not None
        return study, reader.trials(study.id)


def test_trial_0_is_the_defaults_then_come_the_candidates_then_the_sampler(night: Workbench):
    _, trials = stored(night)
    launched = [(trial.role, trial.state) for trial in trials if trial.launches]
    assert launched[:2] == [("baseline", "measured"), ("candidate", "measured")]
    assert [role for role, _ in launched[2:]] == ["sampled", "sampled"]
    assert trials[0].flags == {}


def test_a_candidate_that_resolves_to_the_defaults_is_not_measured_again(night: Workbench):
    _, trials = stored(night)
    twin = next(trial for trial in trials if trial.flags == {"max-num-seqs": DEFAULT_SEQS})
    assert (twin.state, twin.duplicate_of, twin.launches) == ("duplicate", 0, ())


def test_every_measured_trial_has_its_target_point_its_records_and_its_scrapes(night: Workbench):
    study, trials = stored(night)
    with open_reader(DatabaseLocation.parse(str(night.database))) as reader:
        for trial in (trial for trial in trials if trial.state == "measured"):
            point = next(point for point in trial.load_points if point.summary.offered_rps == study.spec.target_rps)
            records = reader.records(trial.id, point.index)
            assert len(records) == point.requests
            assert {record.outcome for record in records} == {Outcome.OK}
            assert len(reader.scrapes(trial.id, point.index)) >= 2
            assert point.server.generation_tokens == sum(record.output_tokens for record in records)
            assert point.server.prefix_cache_hit_rate in (None, 0)


def test_seeds_never_repeat_so_that_no_prompt_does(night: Workbench):
    _, trials = stored(night)
    seeds = [point.seed for trial in trials for point in trial.load_points]
    assert len(seeds) == len(set(seeds))


def test_optuna_opens_the_file_and_knows_every_trial(night: Workbench):
    study = optuna.load_study(study_name="night", storage=f"sqlite:///{night.database}")
    _, trials = stored(night)
    assert [trial.number for trial in study.trials] == [trial.number for trial in trials]
    assert all(trial.state.is_finished() for trial in study.trials)
    assert study.metric_names == ["capacity_rps", "ttft_p95"]
    assert study.trials[0].params["max-num-seqs"] == DEFAULT_SEQS


def test_the_file_is_whole_and_private(night: Workbench):
    with sqlite3.connect(night.database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert night.database.stat().st_mode & 0o077 == 0


def test_secrets_appear_in_no_file(night: Workbench):
    for path in night.directory.rglob("*"):
        if path.is_file():
            assert b"hf_CANARY" not in path.read_bytes(), path


def test_launches_keep_their_command_their_log_and_where_they_ran(night: Workbench):
    _, trials = stored(night)
    launch = trials[0].launches[0]
    assert "--host=127.0.0.1" in launch.argv
    assert (night.directory / launch.log_path).exists()
    assert launch.ready_after is not None
    assert launch.provenance.vllm_version == "0.32.0+fake"
    assert launch.provenance.device


def test_resuming_a_finished_study_adds_nothing(night: Workbench):
    before = stored(night)
    done = night.tuner("resume", "night")
    assert done.returncode == 0, done.stderr
    assert "used up" in done.stderr
    assert stored(night) == before


def test_resuming_with_a_larger_budget_goes_on_to_it(tmp_path: Path):
    bench = Workbench(tmp_path)
    assert bench.tuner("run", bench.study(budget={"trials": 1})).returncode == 0
    done = bench.tuner("resume", "night", "--trials", "2")
    assert done.returncode == 0, done.stderr
    assert [trial.role for trial in stored(bench)[1]] == ["baseline", "sampled"]


@pytest.mark.parametrize("mode", ["dies_under_load:40", "short_answers"])
def test_a_baseline_that_fails_ends_the_study_with_its_reason(tmp_path: Path, mode: str):
    bench = Workbench(tmp_path)
    done = bench.tuner("run", bench.study(mode=mode))
    assert done.returncode == 4, done.stderr
    assert "trial 0" in done.stderr
    assert "Traceback" not in done.stderr
    trial = stored(bench)[1][0]
    assert (trial.state, trial.capacity, trial.values) == ("failed", None, {})


def test_a_configuration_that_cannot_start_is_no_number_and_teaches_the_sampler(tmp_path: Path):
    bench = Workbench(tmp_path)
    # 64 tokens of KV cache hold no request of 40 tokens at the low end.
    space = {"parameters": {"kv-cache-memory-bytes": {"type": "categorical", "choices": [1000, 2000]}}}
    done = bench.tuner("run", bench.study(search_space=space))
    assert done.returncode == 0, done.stderr
    _, trials = stored(bench)
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    for trial in failed:
        assert trial.failure is not None
        assert trial.failure.kind == "kv_too_small"
        assert "max seq len" in trial.failure.evidence
        assert (trial.capacity, trial.values) == (None, {})
    told = optuna.load_study(study_name="night", storage=f"sqlite:///{bench.database}").trials[failed[0].number]
    assert told.state is optuna.trial.TrialState.COMPLETE
    assert max(told.constraints.values()) > 0


def test_a_small_space_is_measured_once_and_then_exhausted(tmp_path: Path):
    bench = Workbench(tmp_path)
    space = {"parameters": {"max-num-seqs": {"type": "int", "low": 2, "high": 3}}}
    done = bench.tuner("run", bench.study(search_space=space, budget={"trials": 50}))
    assert done.returncode == 0, done.stderr
    assert "exhausted" in done.stderr
    launched = {trial.resolved["max-num-seqs"] for trial in stored(bench)[1] if trial.launches}
    assert launched == {2, 3, DEFAULT_SEQS}


def test_all_requests_of_a_load_point_end_before_the_next_one_begins(night: Workbench):
    _, trials = stored(night)
    for trial in trials:
        for earlier, later in zip(trial.load_points, trial.load_points[1:], strict=False):
            assert (later.started_at - earlier.started_at).total_seconds() >= earlier.duration
