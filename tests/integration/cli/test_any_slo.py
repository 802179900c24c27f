"""Any SLO after the fact, on a copy of the committed result file, against figures recomputed from its raw records."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.workbench import ROOT
from tuner.domain.load import Outcome
from tuner.metrics.windows import steady_window
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.store.writer import open_store

ASKED = ("--slo", "ttft_p95=100ms", "--slo", "tpot_p95=10ms")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("committed") / "results.db"
    shutil.copy(ROOT / "results.db", copy)
    with open_store(DatabaseLocation.parse(str(copy))):
        return copy


@pytest.fixture(scope="module")
def pruned(database: Path) -> Path:
    copy = database.with_name("pruned.db")
    shutil.copy(database, copy)
    connection = sqlite3.connect(copy)
    connection.execute("DELETE FROM tuner_request_records")
    connection.commit()
    connection.close()
    return copy


def tuner(database: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "tuner", *arguments, "--db", str(database)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def answer(database: Path, *arguments: str) -> Any:
    return json.loads(tuner(database, *arguments, "--json"))


def test_goodput_under_other_slos_is_that_counted_by_hand(database: Path):
    shown = answer(database, "show", "0", *ASKED)
    with open_reader(DatabaseLocation.parse(str(database))) as reader:
        study = reader.studies()[-1]
        trial = reader.trial(study.id, 0)
        assert trial is not None
        for point in (point for point in trial.load_points if not point.summary.given_up):
            records = reader.records(trial.id, point.index)
            window = steady_window(records, point.arrivals)
            good = [
                record
                for record in records
                if record.outcome is Outcome.OK
                and window.start < record.finished_at <= window.end
                and record.event_times[0] - record.scheduled_at <= 0.1
                and record.event_times[-1] - record.event_times[0] <= 0.01 * (record.output_tokens - 1)
            ]
            told = shown["load_points"][point.index]["summary"]["goodput_rps"]
            assert told == pytest.approx(len(good) / (window.end - window.start))


def test_best_pareto_and_show_agree_on_a_trial_and_say_by_which_slos(database: Path):
    best = answer(database, "best", "--target-rps", "2", *ASKED)
    front = answer(database, "pareto", "--metric", "capacity_rps", "--metric", "goodput_rps", *ASKED)
    shown = answer(database, "show", str(best["trial"]), *ASKED)
    in_front = next(trial for trial in front["trials"] if trial["trial"] == best["trial"])
    assert in_front["figures"]["capacity_rps"] == best["capacity_rps"] == shown["capacity_rps"]
    assert in_front["figures"]["goodput_rps"] == shown["at_target"]["goodput_rps"]
    assert in_front["slo_met"] == shown["at_target"]["slo_met"]
    assert in_front["undecided"] == best["best"]["undecided"] == shown["undecided"]
    assert best["slos"] == front["slos"] == shown["slos"] == ["ttft_p95 ≤ 100 ms", "tpot_p95 ≤ 10.0 ms"]
    for command in (("best", "--target-rps", "2"), ("pareto",), ("show", str(best["trial"]))):
        assert "ttft_p95 ≤ 100 ms, tpot_p95 ≤ 10.0 ms" in " ".join(tuner(database, *command, *ASKED).split())


def test_a_tighter_slo_raises_no_capacity_beyond_its_interval(database: Path):
    tight, loose = (
        {one["trial"]: one["figures"]["capacity_rps"] for one in front["trials"]}
        for front in (answer(database, "pareto", "--slo", f"ttft_p95={limit}") for limit in ("60ms", "5s"))
    )
    assert all(tight[number] <= loose[number] * 1.05 for number in tight)
    assert sum(tight.values()) < sum(loose.values())


def test_what_the_rates_leave_open_is_said_with_the_load_point_that_would_tell(database: Path):
    shown = answer(database, "show", "0", "--slo", "ttft_p95=60s")
    open_ = shown["undecided"]
    assert shown["capacity_upper_rps"] is None
    assert open_["rate"] > shown["capacity_rps"]
    assert open_["requests"] > 0
    text = " ".join(tuner(database, "show", "0", "--slo", "ttft_p95=60s").split())
    assert f"a load point of {open_['requests']} requests at {open_['rate']:.3g} req/s would tell" in text


def test_the_studys_own_slos_spelled_out_change_nothing(database: Path):
    own = ("--slo", "ttft_p95=500ms", "--slo", "tpot_p95=50ms")
    assert answer(database, "show", "0", *own) == answer(database, "show", "0")
    assert answer(database, "pareto", *own) == answer(database, "pareto")
    assert answer(database, "show", "0")["undecided"] is None


def test_without_records_stored_percentiles_stand_in_and_it_is_said(pruned: Path):
    shown = answer(pruned, "show", "0", *ASKED)
    assert "request records are gone" in shown["capacity"]["note"]
    assert "request records are gone" in " ".join(tuner(pruned, "show", "0", *ASKED).split())
    assert answer(pruned, "show", "0") == answer(
        pruned, "show", "0", "--slo", "ttft_p95=500ms", "--slo", "tpot_p95=50ms"
    )


def test_damaged_records_are_told_without_a_traceback(database: Path):
    copy = database.with_name("damaged.db")
    shutil.copy(database, copy)
    connection = sqlite3.connect(copy)
    connection.execute("UPDATE tuner_request_records SET data = x'01ff' WHERE load_point_id = 1")
    connection.commit()
    connection.close()
    command = [sys.executable, "-m", "tuner", "pareto", *ASKED, "--db", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "damaged request records" in done.stderr
    assert "Traceback" not in done.stderr
