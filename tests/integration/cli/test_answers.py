"""Answers from the committed result file, on a copy, checked against figures recomputed from its raw records."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from tests.fakes.workbench import ROOT
from tuner.domain.load import Outcome
from tuner.domain.trial import TrialState
from tuner.metrics.windows import steady_window
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader

LARGEST = 5 * 1024 * 1024
HEAVY = "{'optuna', 'alembic', 'plotly', 'torch', 'vllm'}"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("committed") / "results.db"
    shutil.copy(ROOT / "results.db", copy)
    return copy


def tuner(database: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tuner", *arguments, "--db", str(database)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answer(database: Path, *arguments: str) -> Any:
    done = tuner(database, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_file_is_small_whole_and_a_genuine_study_of_vllm(database: Path):
    assert database.stat().st_size < LARGEST
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    study = answer(database, "studies")[-1]
    assert study["study"] == "quickstart"
    assert study["provenance"]["vllm_version"] == "0.32.0"
    assert study["trials"]["measured"] >= 8
    assert len(optuna.load_study(study_name="quickstart", storage=f"sqlite:///{database}").trials) >= 8


def test_best_answers_for_two_requests_a_second(database: Path):
    best = answer(database, "best", "--target-rps", "2")
    keys = {"study", "trial", "flags", "command", "capacity_rps", "headroom", "slo_met", "replicas", "baseline"}
    assert keys <= best.keys()
    assert best["command"].startswith("vllm serve ")
    assert (best["slo_met"], best["replicas"]) == (True, 1)
    assert best["headroom"] == best["capacity_rps"] / 2
    assert best["baseline"]["flags"] == {}


def test_where_nothing_sustains_the_target_best_counts_replicas_and_still_exits_with_0(database: Path):
    best = answer(database, "best", "--target-rps", "500")
    assert (best["slo_met"], best["sustained"]) == (False, False)
    assert best["replicas"] == -(-1000 // best["capacity_rps"])
    assert "replicas would" in tuner(database, "best", "--target-rps", "500").stdout


def test_a_tighter_slo_lowers_capacities_and_never_raises_one(database: Path):
    with open_reader(DatabaseLocation.parse(str(database))) as reader:
        study = reader.studies()[-1]
        own = {trial.number: trial.capacity for trial in reader.trials(study.id) if trial.capacity}
    tight = answer(database, "best", "--target-rps", "2", "--slo", "ttft_p95=60ms")
    assert tight["slos"] == ["ttft_p95 ≤ 60.0 ms"]
    found = own[tight["trial"]]
    assert tight["capacity_rps"] <= (found.upper_rps or found.rps)


def test_stored_figures_equal_those_recomputed_from_the_raw_records(database: Path):
    with open_reader(DatabaseLocation.parse(str(database))) as reader:
        study = reader.studies()[-1]
        for trial in (trial for trial in reader.trials(study.id) if trial.state is TrialState.MEASURED):
            for point in (point for point in trial.load_points if not point.summary.given_up):
                records = reader.records(trial.id, point.index)
                done = [record for record in records if record.outcome is Outcome.OK]
                assert len(done) == point.summary.completed
                window = steady_window(records, point.arrivals)
                steady = [record for record in done if window.start <= record.scheduled_at <= window.end]
                ttft = [record.event_times[0] - record.scheduled_at for record in steady]
                tpot = [
                    (record.event_times[-1] - record.event_times[0]) / (record.output_tokens - 1) for record in steady
                ]
                assert len(steady) >= 0.6 * len(done)
                assert np.percentile(ttft, 95) == pytest.approx(point.summary.ttft.p95, abs=2e-6)
                assert np.percentile(tpot, 95) == pytest.approx(point.summary.tpot.p95, abs=2e-6)


def test_every_reading_command_prints_tables_and_json_that_agree(database: Path):
    listed = answer(database, "trials")
    shown = answer(database, "show", "0")
    assert shown == next(trial for trial in listed if trial["trial"] == 0)
    front = answer(database, "pareto", "--metric", "capacity_rps", "--metric", "ttft_p95", "--metric", "tpot_p95")
    measured = {trial["trial"] for trial in listed if trial["state"] == "measured"}
    assert {trial["trial"] for trial in front["trials"]} | set(front["without_figures"]) == measured
    assert any(trial["on_front"] for trial in front["trials"])
    for command in (["studies"], ["trials", "--all"], ["show", "0"], ["pareto"], ["best", "--target-rps", "2"]):
        done = tuner(database, *command)
        assert (done.returncode, done.stderr) == (0, "")
        assert "quickstart" in done.stdout
        assert "\x1b" not in done.stdout


def test_reading_leaves_the_file_as_it_was(database: Path):
    before = database.read_bytes()
    tuner(database, "trials")
    assert database.read_bytes() == before


def test_no_path_of_the_machine_that_measured_it_stands_in_it(database: Path):
    for trial in answer(database, "trials"):
        for launch in trial["launches"]:
            assert not launch["argv"][0].startswith("/")
            assert not launch["log_path"].startswith("/")


@pytest.mark.parametrize("command", [["best", "--target-rps", "2"], ["trials"], ["pareto"], ["--help"]])
def test_answers_import_nothing_heavy(database: Path, command: list[str]):
    code = (
        "import sys\n"
        "from tuner.cli.main import main\n"
        f"sys.argv = ['tuner', *{command!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"TUNER_DB": str(database)}
    )
    assert done.returncode == 0, done.stderr
