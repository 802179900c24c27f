"""Drift checks and confirmations of whole studies, against the fake engine and a real SQLite file."""

from pathlib import Path

import optuna
import pytest

from tests.fakes.workbench import Workbench, alive, until
from tuner.analysis.drift import drift
from tuner.domain.trial import Launch, Purpose, Trial
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader

QUICK = {"highest": 1, "lowest": 0.5, "max_points": 1, "duration": "1s", "min_requests": 20, "warmup_requests": 3, "drain": "2s"}  # fmt: skip  # noqa: E501
"""One load point a launch: what a launch says does not matter here."""


def trials(bench: Workbench) -> tuple[Trial, ...]:
    with open_reader(DatabaseLocation.parse(str(bench.database))) as reader:
        study = reader.study("night")
        assert study is not None
        return reader.trials(study.id)


def later(bench: Workbench) -> list[tuple[int, Launch]]:
    """Launches that were not for a trial's own figures, as they came, each with its trial's number."""
    found = [(one.number, launch) for one in trials(bench) for launch in one.launches]
    return sorted(
        ((number, launch) for number, launch in found if launch.purpose is not Purpose.MEASURE),
        key=lambda pair: pair[1].started_at,
    )


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(tmp_path_factory.mktemp("night"))
    study = bench.study(budget={"trials": 8}, load=QUICK, repeats={"drift_every": 3})
    done = bench.tuner("run", study)
    assert done.returncode == 0, done.stderr
    return bench


def test_the_baseline_is_measured_again_every_so_often_and_at_the_end_beside_the_finalist(night: Workbench):
    story = [(number, launch.purpose) for number, launch in later(night)]
    finalist = story[-1][0]
    assert story == [(0, "drift"), (0, "drift"), (0, "confirm"), (finalist, "confirm")]
    assert finalist > 0
    found = drift(trials(night))
    assert found is not None
    assert found.since == 0


def test_what_was_measured_again_leaves_the_trials_own_figures_alone(night: Workbench):
    baseline = trials(night)[0]
    assert len(baseline.launches) == 4
    assert {point.attempt for point in baseline.judged_points} == {1}
    assert all(launch.capacity is not None for launch in baseline.launches)
    assert baseline.capacity == baseline.launches[0].capacity
    seeds = [point.seed for point in baseline.load_points]
    assert len(seeds) == len(set(seeds))
    told = optuna.load_study(study_name="night", storage=f"sqlite:///{night.database}").trials
    assert len(told) == len(trials(night))


def test_a_confirmation_can_be_asked_for_and_what_is_there_counts(night: Workbench):
    before = len(later(night))
    number = later(night)[-1][0]
    done = night.tuner("confirm", str(number), "--repeats", "2")
    assert done.returncode == 0, done.stderr
    added = later(night)[before:]
    assert [(one, launch.purpose) for one, launch in added] == [(number, "confirm"), (0, "confirm")]
    again = night.tuner("confirm", str(number), "--repeats", "2")
    assert again.returncode == 0, again.stderr
    assert len(later(night)) == before + 2
    assert "has 2 launches for it already" in again.stderr


def test_resuming_after_it_adds_nothing(night: Workbench):
    before = trials(night)
    done = night.tuner("resume", "night")
    assert done.returncode == 0, done.stderr
    assert trials(night) == before


@pytest.mark.parametrize(("wanted", "said"), [("99", "trial 99 has no figures"), ("-1", "No such option")])
def test_what_has_no_figures_is_not_confirmed(night: Workbench, wanted: str, said: str):
    done = night.tuner("confirm", wanted)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_machine_that_tires_is_found_out_and_the_trials_next_to_it_are_suspect(tmp_path: Path):
    bench = Workbench(tmp_path)
    env = {"FAKE_VLLM_MODE": "tires:3", "FAKE_VLLM_ARGV": str(tmp_path / "launches")}
    study = bench.study(
        engine={"vllm_python": str(bench.vllm_python), "env": env},
        repeats={"drift_every": 2, "confirm": 0},
        slos={"e2e_p95": "150ms"},
        target_rps=40,
        load={**QUICK, "highest": 2, "lowest": 0.1, "max_points": 4, "min_requests": 60},
    )
    done = bench.tuner("run", study)
    assert done.returncode == 0, done.stderr
    assert [number for number, _ in later(bench)] == [0, 0]  # the second look settles it
    found = drift(trials(bench))
    assert found is not None
    assert [check.moved for check in found.checks] == [True]
    assert found.suspect == {one.number for one in trials(bench) if one.number > 0 and one.launches}


def test_a_tuner_killed_while_it_measures_again_loses_nothing_and_goes_on(tmp_path: Path):
    bench = Workbench(tmp_path)
    study = bench.study(budget={"trials": 3}, load=QUICK, repeats={"drift_every": 2, "confirm": 0})
    running = bench.start("run", study)
    running.wait_for("trial 0 again")
    running.wait_for("trial 0: load point 1")
    engine = running.engine()
    running.process.kill()
    running.wait()
    assert until(lambda: not alive(engine)), alive(engine)
    before = {one.number: one.values for one in trials(bench)}
    done = bench.tuner("resume", "night")
    assert done.returncode == 0, done.stderr
    after = trials(bench)
    assert before.items() <= {one.number: one.values for one in after}.items()
    assert all(launch.ended_at is not None for one in after for launch in one.launches)
    assert [launch.capacity is not None for _, launch in later(bench)] == [False, True]


def test_what_other_slos_leave_open_is_measured_when_asked_for(tmp_path: Path):
    bench = Workbench(tmp_path)
    study = bench.study(budget={"trials": 2}, load={**QUICK, "highest": 2, "lowest": 0.5, "max_points": 2})
    assert bench.tuner("run", study).returncode == 0
    impossible = ("--slo", "e2e_p95=1ms")  # breaks at every rate: only the lowest one can tell
    before = bench.json("show", "0", *impossible)
    assert before["undecided"]
    done = bench.tuner("run", study, "--refine", *impossible)
    assert done.returncode == 0, done.stderr
    story = [(number, launch.purpose) for number, launch in later(bench)]
    assert story[0] == (0, "refine")
    refined = trials(bench)[0]
    assert [point.arrivals.offered_rps for point in refined.points_of(2)] == [10.0]
    assert {point.attempt for point in refined.judged_points} == {1}
    after = bench.json("show", "0", *impossible)
    assert (after["undecided"], after["capacity_upper_rps"]) == (None, 10.0)
    again = bench.tuner("run", study, "--refine", *impossible)
    assert "nothing is open" in again.stderr
