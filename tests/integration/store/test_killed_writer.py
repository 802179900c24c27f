import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tuner.domain.errors import SurroundingsError
from tuner.domain.trial import TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.lock import writer_lock
from tuner.store.preflight import check_database
from tuner.store.reader import open_reader

WRITER = Path(__file__).parents[2] / "fakes" / "store_writer.py"
KILLS = 10


@pytest.fixture
def location(tmp_path: Path) -> DatabaseLocation:
    return DatabaseLocation.parse(str(tmp_path / "results.db"))


@contextmanager
def writing(location: DatabaseLocation, *arguments: str, first: int = 0) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, str(WRITER), str(location.path), str(ledger_of(location)), *arguments]
    environment = os.environ | {"FIRST_TRIAL": str(first), "PYTHONPATH": str(WRITER.parents[2])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == f"{first}\n"
            yield process
        finally:
            process.kill()


def ledger_of(location: DatabaseLocation) -> Path:
    assert location.path
    return location.path.with_name("ledger")


def test_no_committed_trial_is_lost_to_kills(location: DatabaseLocation):
    dice = random.Random(0)  # noqa: S311  # no secret
    for kill in range(KILLS):
        with writing(location, first=kill * 100_000) as process:
            time.sleep(dice.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
    with open_reader(location) as reader:
        measured = [trial for trial in reader.trials(1) if trial.state is TrialState.MEASURED]
        assert all(len(reader.records(trial.id, 0)) == 20 for trial in measured)
    ledger = {int(line) for line in ledger_of(location).read_text().splitlines()}
    assert len(ledger) >= KILLS
    assert ledger <= {trial.number for trial in measured}
    assert all(len(trial.load_points) == 1 and trial.capacity for trial in measured)
    check_database(location, for_writing=True)


def test_a_reader_undoes_what_a_killed_writer_left_half_done(location: DatabaseLocation):
    with writing(location, "half") as process:
        assert process.stdout
        assert process.stdout.readline() == "half\n"
    assert location.path
    journal = location.path.with_name("results.db-journal")
    assert journal.stat().st_size > 0
    with pytest.raises(sqlite3.OperationalError), closing(read_only(location.path)) as connection:
        connection.execute("SELECT * FROM tuner_trials")
    with open_reader(location) as reader:
        (trial,) = reader.trials(1)
        assert trial.capacity
        assert trial.capacity.rps == 1.0
        assert len(reader.records(0, 0)) == 20
    assert not journal.exists()


def read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def test_readers_work_while_a_study_is_written(location: DatabaseLocation):
    with writing(location) as process, open_reader(location) as reader:
        seen = [len(reader.trials(1))]
        while seen[-1] < seen[0] + 5 and process.poll() is None:
            seen.append(len(reader.trials(1)))
    assert seen == sorted(seen)
    assert seen[-1] >= seen[0] + 5 >= 6


def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(location: DatabaseLocation):
    with (
        writing(location) as process,
        pytest.raises(SurroundingsError, match=rf"process {process.pid} on \S+ \(study night\) is writing"),
        writer_lock(location, "day"),
    ):
        pass
    with writer_lock(location, "day"):
        pass
