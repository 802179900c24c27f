import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import optuna
import pytest

from tuner.domain.study import StudySpec
from tuner.domain.trial import Provenance, TrialRole, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.store.schema import REVISIONS
from tuner.store.writer import open_store

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def location(tmp_path: Path) -> DatabaseLocation:
    return DatabaseLocation.parse(str(tmp_path / "results with spaces?.db"))


@pytest.fixture
def spec() -> StudySpec:
    return StudySpec.model_validate(
        {
            "study": "night",
            "model": "m",
            "target_rps": 1,
            "search_space": {"parameters": {"max-num-seqs": {"type": "int", "low": 1, "high": 8}}},
            "slos": {"ttft_p95": 500},
        }
    )


def make_ours(location: DatabaseLocation) -> None:
    open_store(location).close()


def make_optunas(location: DatabaseLocation) -> None:
    optuna.storages.RDBStorage(location.url).engine.dispose()


def tables(location: DatabaseLocation) -> dict[str, list[tuple[object, ...]]]:
    assert location.path
    with closing(sqlite3.connect(location.path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}  # noqa: S608


@pytest.mark.parametrize(
    "order", [(make_ours, make_optunas), (make_optunas, make_ours)], ids=["ours first", "optuna's first"]
)
def test_optunas_tables_and_ours_live_in_one_file(
    location: DatabaseLocation, spec: StudySpec, order: tuple[Callable[[DatabaseLocation], None], ...]
):
    for make in order:
        make(location)
    storage = optuna.storages.RDBStorage(location.url)
    study = optuna.create_study(storage=storage, study_name=spec.study)
    study_id = storage.get_study_id_from_name(spec.study)
    with open_store(location) as store:
        store.create_study(study_id, spec, Provenance(), NOW)
        for _ in range(3):
            trial = study.ask()
            trial.suggest_int("max-num-seqs", 1, 8)
            trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
            store.begin_trial(
                trial_id, study_id, trial.number, role=TrialRole.SAMPLED, flags=trial.params, resolved={},
                fingerprint="", started_at=NOW,
            )  # fmt: skip
            store.finish_trial(trial_id, TrialState.MEASURED, ended_at=NOW)
            study.tell(trial, 1.0)
    with open_reader(location) as reader:
        ours = [(trial.number, trial.flags) for trial in reader.trials(study_id)]
    assert ours == [(trial.number, trial.params) for trial in study.trials]
    assert len(ours) == 3
    storage.engine.dispose()


def test_optunas_alembic_version_is_untouched_by_our_migration(location: DatabaseLocation):
    make_optunas(location)
    before = tables(location)
    assert before["alembic_version"]
    make_ours(location)
    after = tables(location)
    assert {name: after[name] for name in before} == before
    assert after["tuner_alembic_version"] == [(REVISIONS[-1],)]


def test_our_version_is_untouched_by_optunas_set_up(location: DatabaseLocation):
    make_ours(location)
    before = tables(location)
    make_optunas(location)
    after = tables(location)
    assert {name: after[name] for name in before} == before
    assert after["alembic_version"]


def test_reading_loads_neither_optuna_nor_alembic():
    program = (
        "import sys, tuner.store.reader; print(sorted({'optuna', 'alembic', 'pandas', 'plotly'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
