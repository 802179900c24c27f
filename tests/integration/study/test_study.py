"""Whole studies through the command line, against the fake engine and a real SQLite file."""

import sqlite3
from pathlib import Path

import optuna
import pytest

from tests.fakes.workbench import Workbench
from tuner.domain.load import Outcome
from tuner.domain.trial import EXPOSED, Study, Trial
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader

DEFAULT_SEQS = 8
"""The fake engine's own default."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(tmp_path_factory.mktemp("night"))
    study = bench.study(candidates=["--max-num-seqs 2", {"max-num-seqs": DEFAULT_SEQS}], budget={"trials": 6})
    done = bench.tuner("run", study, env={"HF_TOKEN": "hf_CANARY_0123456789"})
    assert done.returncode == 0, done.stderr
    return bench


def stored(bench: Workbench) -> tuple[Study, tuple[Trial, ...]]:
    with open_reader(DatabaseLocation.parse(str(bench.database))) as reader:
        study = reader.study("night")
        assert study is not None
        return study, reader.trials(study.id)


def test_trial_0_is_the_defaults_then_come_candidates_suggestions_and_the_sampler(night: Workbench):
    _, trials = stored(night)
    launched = [(trial.role, trial.state) for trial in trials if trial.launches]
    assert launched[:3] == [("baseline", "measured"), ("candidate", "measured"), ("suggested", "measured")]
    roles = [role for role, _ in launched[2:]]
    assert roles == sorted(roles, reverse=True)  # suggested before sampled
    assert roles[-1] == "sampled"
    assert trials[0].flags == {}


def test_suggestions_lie_within_the_search_space(night: Workbench):
    study, trials = stored(night)
    parameters = study.spec.search_space.parameters
    suggested = [trial.flags for trial in trials if trial.role == "suggested"]
    assert 1 <= len(suggested) <= 3
    for flags in suggested:
        assert flags.keys() == parameters.keys()
        assert not study.spec.search_space.violated(flags)


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
    assert [trial.role for trial in stored(bench)[1]] == ["baseline", "suggested"]


@pytest.mark.parametrize("mode", ["dies_under_load:40", "short_answers"])
def test_a_baseline_that_fails_ends_the_study_with_its_reason(tmp_path: Path, mode: str):
    bench = Workbench(tmp_path)
    done = bench.tuner("run", bench.study(mode=mode))
    assert done.returncode == 4, done.stderr
    assert "trial 0" in done.stderr
    assert "Traceback" not in done.stderr
    trial = stored(bench)[1][0]
    assert (trial.state, trial.capacity, trial.values) == ("failed", None, {})


MEMORY = {"parameters": {"gpu-memory-utilization": {"type": "float", "low": 0.96, "high": 0.99, "step": 0.01}}}
"""The fake engine has no memory for more than 0.95."""


def test_a_configuration_that_cannot_start_is_no_number_and_keeps_its_like_from_being_launched(tmp_path: Path):
    bench = Workbench(tmp_path)
    done = bench.tuner("run", bench.study(search_space=MEMORY, budget={"trials": 3}))
    assert done.returncode == 0, done.stderr
    _, trials = stored(bench)
    failed = [trial for trial in trials if trial.state == "failed"]
    doubted = [trial for trial in trials if trial.state == "infeasible"]
    assert failed
    assert doubted
    for trial in failed:
        assert trial.failure is not None
        assert (trial.failure.kind, trial.capacity, trial.values) == ("oom_start", None, {})
        assert "out of memory" in trial.failure.evidence
    for trial in doubted:
        assert trial.failure is not None
        assert trial.failure.evidence.startswith(f"trial {failed[0].number} ran out of memory")
        assert trial.launches == ()
    told = optuna.load_study(study_name="night", storage=f"sqlite:///{bench.database}").trials
    assert told[failed[0].number].state is optuna.trial.TrialState.COMPLETE
    assert told[0].constraints["failure"] < 0 < min(told[trial.number].constraints["failure"] for trial in doubted)


def test_what_arithmetic_excludes_is_never_launched(tmp_path: Path):
    bench = Workbench(tmp_path)
    # 2000 bytes of KV cache hold not even a block.
    space = {"parameters": {"kv-cache-memory-bytes": {"type": "categorical", "choices": [1000, 2000]}}}
    done = bench.tuner("run", bench.study(search_space=space))
    assert done.returncode == 0, done.stderr
    _, trials = stored(bench)
    assert [trial.number for trial in trials if trial.launches] == [0]
    assert trials[1].failure is not None
    assert trials[1].failure.evidence.startswith(
        "a KV cache of 0 tokens is less than one request of 40 (max-model-len)"
    )


def test_a_candidate_is_launched_whatever_is_suspected_of_it(tmp_path: Path):
    bench = Workbench(tmp_path)
    done = bench.tuner("run", bench.study(candidates=[{"kv-cache-memory-bytes": 2000}], budget={"trials": 2}))
    assert done.returncode == 0, done.stderr
    assert "trial 1 will probably not run, and is launched all the same: a KV cache of 0 tokens" in done.stderr
    candidate = stored(bench)[1][1]
    assert (candidate.role, len(candidate.launches)) == ("candidate", 1)


def test_a_study_starts_from_the_best_of_an_earlier_one_and_measures_it_anew(night: Workbench):
    later = night.study(name="later", budget={"trials": 2})
    done = night.tuner("run", later, "--warm-start", "night")
    assert done.returncode == 0, done.stderr
    with open_reader(DatabaseLocation.parse(str(night.database))) as reader:
        study = reader.study("later")
        assert study is not None
        trials = [trial for trial in reader.trials(study.id) if trial.launches]
    earlier = [trial.flags for trial in stored(night)[1] if trial.state == "measured"]
    assert [trial.role for trial in trials] == ["baseline", "warm_start"]
    assert trials[1].flags in earlier
    assert trials[1].load_points


def test_a_warm_start_from_a_study_that_is_not_there_says_which_there_are(night: Workbench):
    done = night.tuner("run", night.study(name="other"), "--warm-start", "dawn")
    assert done.returncode == 2
    assert "has no study named 'dawn'; there are: night" in done.stderr


def test_a_small_space_is_measured_once_and_then_exhausted(tmp_path: Path):
    bench = Workbench(tmp_path)
    space = {"parameters": {"max-num-seqs": {"type": "int", "low": 2, "high": 3}}}
    done = bench.tuner("run", bench.study(search_space=space, budget={"trials": 50}))
    assert done.returncode == 0, done.stderr
    assert "exhausted" in done.stderr
    launched = {trial.resolved["max-num-seqs"] for trial in stored(bench)[1] if trial.launches}
    assert launched == {2, 3, DEFAULT_SEQS}


def test_a_study_says_once_that_other_machines_reach_its_engine(tmp_path: Path):
    bench = Workbench(tmp_path)
    done = bench.tuner("run", bench.study(mode="listens_everywhere", budget={"trials": 2}))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("other machines can reach the engine's processes at 0.0.0.0:") == 1
    assert all(EXPOSED in trial.launches[0].resolved for trial in stored(bench)[1] if trial.launches)


def test_all_requests_of_a_load_point_end_before_the_next_one_begins(night: Workbench):
    _, trials = stored(night)
    for trial in trials:
        for earlier, later in zip(trial.load_points, trial.load_points[1:], strict=False):
            assert (later.started_at - earlier.started_at).total_seconds() >= earlier.duration
