"""A result file from a stranger: pickles in its columns are never loaded, and its texts steer no terminal."""

import pickle
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.fakes.workbench import Workbench
from tuner.analysis.figures import direction
from tuner.proposal.proposer import open_proposer
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.store.writer import open_store
from tuner.study.file import read_study

HOSTILE = "\x1b]52;c;cm0=\x07\x1b[2Jx\u202e\x9b31m"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(tmp_path_factory.mktemp("hostile"))
    done = bench.tuner("run", bench.study(budget={"trials": 2}))
    assert done.returncode == 0, done.stderr
    return bench


class Bait:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._path,)


def columns(database: Path) -> Iterator[tuple[str, str, str]]:
    """Yield table, name and type of every column of every table that has a row, Optuna's included."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0]:  # noqa: S608  # its own tables
                for _, name, kind, *_ in connection.execute(f'PRAGMA table_info("{table}")'):
                    yield table, name, kind


def as_stored(payload: bytes, column: str, kind: str) -> bytes | str:
    """Return a pickle as a column of this type would hold one: bytes, or digits as Optuna writes its optimizers."""
    if kind == "BLOB":
        return payload
    return f'"{payload.hex()}"' if kind == "JSON" or column.endswith("json") else payload.hex()


def filled(database: Path, table: str, column: str, value: object) -> None:
    """Put a value into a column of every row, keys and all."""
    with closing(sqlite3.connect(database)) as connection, suppress(sqlite3.IntegrityError):
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute(f'UPDATE "{table}" SET "{column}" = ?', (value,))  # noqa: S608
        connection.commit()


def use(database: Path, study: Path) -> None:
    """Do whatever the tuner does with a result file: read all of it, open it for writing, ask for a proposal."""
    location, spec = DatabaseLocation.parse(str(database)), read_study(study)
    with suppress(Exception), open_reader(location) as reader:
        for stored in reader.studies():
            for trial in reader.trials(stored.id):
                for point in trial.load_points:
                    for read in (reader.records, reader.scrapes, reader.machine_samples):
                        with suppress(Exception):
                            read(trial.id, point.index)
    with suppress(Exception):
        open_store(location).close()
    with suppress(Exception):
        open_proposer(location.url, spec, [direction(name) for name in spec.objectives]).ask()


@pytest.mark.filterwarnings("ignore")
def test_a_pickle_is_loaded_from_no_column(bench: Workbench, tmp_path: Path):
    loaded, control = tmp_path / "loaded", tmp_path / "control"
    pickle.loads(pickle.dumps(Bait(control)))  # noqa: S301  # it would work
    assert control.exists()
    payload = pickle.dumps(Bait(loaded))
    copy = tmp_path / "copy.db"
    tried = 0
    for table, column, kind in columns(bench.database):
        shutil.copy(bench.database, copy)
        filled(copy, table, column, as_stored(payload, column, kind))
        use(copy, bench.directory / "night.yaml")
        tried += 1
        assert not loaded.exists(), (table, column)
    assert tried > 100


def test_attributes_of_optunas_that_other_samplers_unpickle_stay_text(bench: Workbench, tmp_path: Path):
    loaded, copy = tmp_path / "loaded", tmp_path / "copy.db"
    shutil.copy(bench.database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        for (trial_id,) in connection.execute("SELECT trial_id FROM trials").fetchall():
            connection.execute(
                "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, 'cma:optimizer:0', ?)",
                (trial_id, f'"{pickle.dumps(Bait(loaded)).hex()}"'),
            )
        connection.commit()

    use(copy, bench.directory / "night.yaml")

    assert not loaded.exists()


@pytest.mark.parametrize(
    "command",
    [("show", "1"), ("show", "1", "--json"), ("trials",), ("trials", "--json"), ("studies",), ("pareto", "--json")],
)
def test_texts_of_a_strangers_file_steer_no_terminal(bench: Workbench, tmp_path: Path, command: tuple[str, ...]):
    copy = tmp_path / "copy.db"
    shutil.copy(bench.database, copy)
    for table, column in (
        ("tuner_trials", "failure_evidence"), ("tuner_trials", "failure_advice"), ("tuner_launches", "log_path"),
        ("tuner_launches", "failure_evidence"),
    ):  # fmt: skip
        filled(copy, table, column, HOSTILE)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("UPDATE tuner_trials SET failure_kind = 'unknown', state = 'failed' WHERE number = 1")
        for table, column, key in (
            ("tuner_studies", "provenance", "$.device"), ("tuner_launches", "resolved", "$.dtype"),
            ("tuner_load_points", "summary", "$.slo_violations[0]"),
        ):  # fmt: skip
            change = f"UPDATE {table} SET {column} = json_set({column}, '{key}', ?)"  # noqa: S608
            connection.execute(change, (HOSTILE,))
        connection.commit()

    done = bench.tuner(*command, "--db", copy)

    assert "Traceback" not in done.stderr
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()
