"""Stopping a study: by signals and by SIGKILL, and going on from there."""

import signal
from pathlib import Path

import pytest

from tests.fakes.workbench import Workbench, alive, until
from tuner.domain.trial import Trial, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader


def trials(bench: Workbench) -> tuple[Trial, ...]:
    with open_reader(DatabaseLocation.parse(str(bench.database))) as reader:
        study = reader.study("night")
        assert study is not None
        return reader.trials(study.id)


def values(bench: Workbench) -> dict[int, dict[str, float]]:
    return {trial.number: trial.values for trial in trials(bench) if trial.state == "measured"}


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.mark.parametrize("phase", ["trial 0: start-up", "trial 0: warm-up", "trial 1: load point 1", "trial 0: stop"])
def test_after_a_sigkill_nothing_runs_and_resume_goes_on_by_itself(bench: Workbench, phase: str):
    running = bench.start("run", bench.study(budget={"trials": 2}))
    running.wait_for(phase)
    engine = running.engine()
    running.signal(signal.SIGKILL)
    running.wait()
    before = values(bench)

    assert until(lambda: not alive(engine)), alive(engine)
    done = bench.tuner("resume", "night")

    assert done.returncode == 0, done.stderr
    after = trials(bench)
    assert [trial.state for trial in after].count(TrialState.MEASURED) == 2
    assert "running" not in {trial.state for trial in after}
    assert before.items() <= values(bench).items()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_trial_cleanly_and_says_how_to_go_on(bench: Workbench, number: signal.Signals, code: int):
    running = bench.start("run", bench.study())
    running.wait_for("trial 0: load point 1")
    engine = running.engine()
    running.signal(number)

    assert running.wait() == code
    assert alive(engine) == set()
    assert "tuner resume night" in running.lines[-1]
    assert trials(bench)[0].state == "interrupted"


def test_a_second_ctrl_c_does_not_wait_for_a_server_that_ignores_sigterm(bench: Workbench):
    running = bench.start("run", bench.study(mode="ignores_sigterm"))
    running.wait_for("trial 0: load point 1")
    engine = running.engine()
    running.signal(signal.SIGINT)
    running.wait_for("trial 0: stop")
    running.signal(signal.SIGINT)

    assert running.wait() == 130
    assert until(lambda: not alive(engine), seconds=3), alive(engine)


def test_a_second_tuner_on_the_same_file_is_refused_and_named_the_first(bench: Workbench):
    study = bench.study()
    running = bench.start("run", study)
    running.wait_for("trial 0: start-up")
    second = bench.tuner("run", study)
    running.signal(signal.SIGINT)
    running.wait()

    assert second.returncode == 3
    assert str(running.process.pid) in second.stderr


def test_answers_work_while_a_study_is_running(bench: Workbench):
    running = bench.start("run", bench.study(budget={"trials": 2}))
    running.wait_for("trial 1: start-up")
    listed = bench.json("trials")
    answer = bench.json("best", "--target-rps", "20")
    running.signal(signal.SIGINT)
    running.wait()

    assert [trial["state"] for trial in listed] == ["measured", "running"]
    assert answer["trial"] == 0
