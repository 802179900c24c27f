"""Result files merged: real SQLite files, Optuna's tables among them."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.fakes.builders import BEGAN
from tests.fakes.results import A100, ResultFile, result_file
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.trial import Purpose, Trial
from tuner.store.location import DatabaseLocation
from tuner.store.lock import writer_lock
from tuner.store.reader import open_reader
from tuner.store.transfer import Imported
from tuner.study.transfer import import_results

ROOT = Path(__file__).parents[3]
NIGHT: list[tuple[dict[str, int], float]] = [({}, 4.0), ({"max-num-seqs": 8}, 6.0), ({"max-num-seqs": 16}, 8.0)]


def fill(file: ResultFile, among: slice = slice(None)) -> None:
    for flags, holds in NIGHT[among]:
        file.measure(flags, holds)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here.db"


@pytest.fixture(scope="module")
def three_trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "results.db"
    with result_file(path) as file:
        fill(file)
    return path


@pytest.fixture
def there(three_trials: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(three_trials, tmp_path / "there.db"))


def bring(there: Path, here: Path, **options: Any) -> Imported:
    return import_results(DatabaseLocation.parse(str(there)), DatabaseLocation.parse(str(here)), **options)


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}  # noqa: S608


def stored(path: Path, study: str = "night") -> tuple[Trial, ...]:
    """The trials without the ids that a file gave them."""
    with open_reader(DatabaseLocation.parse(str(path))) as reader:
        found = reader.study(study)
        assert found is not None
        return tuple(
            trial.model_copy(
                update={
                    "id": 0,
                    "launches": tuple(one.model_copy(update={"id": 0, "trial_id": 0}) for one in trial.launches),
                }
            )
            for trial in reader.trials(found.id)
        )


def raw(path: Path, study: str = "night") -> list[Any]:
    with open_reader(DatabaseLocation.parse(str(path))) as reader:
        found = reader.study(study)
        assert found is not None
        return [
            reader.records(trial.id, point.index) for trial in reader.trials(found.id) for point in trial.load_points
        ]


def test_everything_of_a_study_comes_along_with_its_raw_records(here: Path, there: Path):
    (brought,) = bring(there, here).studies
    assert (brought.is_new, brought.trials, brought.launches) == (True, 3, 3)
    assert brought.load_points == len(raw(there))
    assert stored(here) == stored(there)
    assert raw(here) == raw(there)
    assert all(raw(here))


def test_a_second_time_changes_nothing(here: Path, there: Path):
    bring(there, here)
    before = contents(here)
    (brought,) = bring(there, here).studies
    assert brought.is_nothing
    assert contents(here) == before


def test_the_other_file_is_only_read(here: Path, there: Path):
    before = there.read_bytes()
    bring(there, here)
    assert there.read_bytes() == before
    assert not list(here.parent.glob(".tuner-import-*"))


def test_ids_that_collide_are_given_anew_and_the_study_that_was_there_stays(here: Path, there: Path):
    with result_file(here, study="mine", device=A100) as file:
        fill(file)
    own = stored(here, "mine")
    bring(there, here)
    assert stored(here, "mine") == own
    assert stored(here) == stored(there)
    assert len({trial_id for trial_id, *_ in contents(here)["tuner_trials"]}) == 6


def test_a_study_that_has_grown_brings_what_is_new(here: Path, there: Path):
    bring(there, here)
    with result_file(there) as file:
        file.measure({"max-num-seqs": 32}, 6.0)
    (brought,) = bring(there, here).studies
    assert (brought.is_new, brought.trials, brought.launches) == (False, 1, 1)
    assert stored(here) == stored(there)


def test_later_launches_of_a_trial_come_too(here: Path, there: Path):
    with result_file(there) as file:
        proposal = file.measure({"max-num-seqs": 32}, 6.0)
        bring(there, here)
        launch_id = file.launch(proposal, 2, Purpose.CONFIRM)
        assert bring(there, here).studies[0].is_nothing  # it has not ended
        file.load(proposal, launch_id, 6.0, first=10)
        file.store.end_launch(launch_id, BEGAN + timedelta(hours=1), -15, None, {})
    (brought,) = bring(there, here).studies
    assert (brought.trials, brought.launches) == (0, 1)
    assert brought.load_points > 0
    assert stored(here) == stored(there)


def test_what_still_runs_is_left_out_until_it_has_ended(here: Path, there: Path):
    with result_file(there) as file:
        proposal, launch_id = file.begin({"max-num-seqs": 32})
        (brought,) = bring(there, here).studies
        assert (brought.trials, brought.left_out) == (3, 1)
        file.load(proposal, launch_id, 6.0)
        file.end(proposal, launch_id, 6.0)
    assert bring(there, here).studies[0].trials == 1
    assert stored(here) == stored(there)


def test_a_trial_that_was_asked_for_and_never_begun_keeps_its_number(here: Path, there: Path):
    with result_file(there) as file:
        file.proposer.tell_failed(file.proposer.ask_fixed({}), "interrupted")  # killed before its first row
        file.measure({"max-num-seqs": 8}, 6.0)
    bring(there, here)
    assert [trial.number for trial in stored(here)] == [0, 1, 2, 4]
    assert bring(there, here).studies[0].is_nothing
    with result_file(here) as file:
        assert file.measure({"max-num-seqs": 16}, 6.0).number == 5


def test_optunas_study_is_the_same_and_goes_on(here: Path, there: Path):
    with result_file(here, study="mine") as file:
        fill(file)
    bring(there, here)
    mine, theirs = (
        optuna.load_study(study_name="night", storage=f"sqlite:///{path}").get_trials() for path in (here, there)
    )
    for one, other in zip(mine, theirs, strict=True):
        assert (one.number, one.state, one.params, one.values, one.user_attrs, one.distributions) == (
            other.number, other.state, other.params, other.values, other.user_attrs, other.distributions,
        )  # fmt: skip
        assert one.system_attrs == other.system_attrs
    assert [trial.params.get("max-num-seqs") for trial in mine] == [None, 8, 16]
    with result_file(here) as file:
        assert file.measure({"max-num-seqs": 4}, 2.0).number == 3
    assert [trial.number for trial in stored(here)] == [0, 1, 2, 3]


def test_a_name_that_means_another_study_is_refused_and_can_be_given_another(here: Path, there: Path):
    with result_file(here, began=BEGAN + timedelta(days=1)) as file:
        fill(file, slice(1))
    before = contents(here)
    with pytest.raises(InputError, match="another study") as refusal:
        bring(there, here)
    assert "--as" in refusal.value.advice
    assert contents(here) == before
    for _ in range(2):
        bring(there, here, study="night", new_name="night-a100")
    assert stored(here, "night-a100") == stored(there)
    assert optuna.load_study(study_name="night-a100", storage=f"sqlite:///{here}").trials
    with open_reader(DatabaseLocation.parse(str(here))) as reader:
        assert {study.spec.study for study in reader.studies()} == {"night", "night-a100"}


def test_a_study_that_went_on_in_both_files_is_refused_whole(here: Path, there: Path):
    bring(there, here)
    with result_file(here, began=BEGAN + timedelta(days=1)) as file:
        fill(file, slice(1))
    with result_file(there, began=BEGAN + timedelta(days=2)) as file:
        fill(file, slice(2))
    before = contents(here)
    with pytest.raises(InputError, match="trial 3 of night is another one"):
        bring(there, here)
    assert contents(here) == before


def test_one_study_of_several(here: Path, there: Path):
    with result_file(there, study="other") as file:
        fill(file, slice(1))
    assert [one.study for one in bring(there, here, study="other").studies] == ["other"]
    with pytest.raises(InputError, match="night, other"):
        bring(there, here, study="none")
    with pytest.raises(InputError, match="--study"):
        bring(there, here, new_name="x")
    with pytest.raises(InputError, match="letters"):
        bring(there, here, study="other", new_name="no/name")


def test_a_running_tuner_keeps_others_out(here: Path, there: Path):
    bring(there, here)
    with (
        writer_lock(DatabaseLocation.parse(str(here)), "night"),
        pytest.raises(SurroundingsError, match="writing into this file"),
    ):
        bring(there, here)


def test_a_file_can_not_be_imported_into_itself(there: Path):
    with pytest.raises(InputError, match="itself"):
        bring(there, there)


def test_a_file_that_is_not_understood_leaves_no_trace(here: Path, there: Path):
    with closing(sqlite3.connect(there)) as connection, connection:
        (summary,) = connection.execute("SELECT summary FROM tuner_load_points").fetchone()
        broken = json.dumps(json.loads(summary) | {"of_tomorrow": 1})
        connection.execute("UPDATE tuner_load_points SET summary = ?", [broken])
    with pytest.raises(InputError, match="does not understand"):
        bring(there, here)
    assert not here.exists()


def test_pruned_records_stay_pruned(here: Path, there: Path):
    bring(there, here)
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("DELETE FROM tuner_request_records")
    bring(there, here)
    assert not any(raw(here))


def test_the_committed_study_comes_whole_from_whatever_schema_it_has(here: Path, tmp_path: Path):
    other = tmp_path / "other.db"
    shutil.copy(ROOT / "results.db", other)
    bring(other, here)
    bytes_of = "SELECT sum(length(data)) FROM tuner_request_records"
    with closing(sqlite3.connect(other)) as old, closing(sqlite3.connect(here)) as new:
        for query in (bytes_of, "SELECT count(*) FROM tuner_load_points", "SELECT count(*) FROM trial_params"):
            assert new.execute(query).fetchone() == old.execute(query).fetchone()
        assert new.execute("PRAGMA foreign_key_check").fetchall() == []
