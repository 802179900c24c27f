import sqlite3
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

from tuner.domain.errors import InputError, SurroundingsError
from tuner.store.engine import database_errors, reading_engine, writing_engine
from tuner.store.location import DatabaseLocation
from tuner.store.writer import Store


def test_a_writer_keeps_the_rollback_journal_and_syncs_its_removal_too(store: Store):
    def pragma(name: str) -> object:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    with store.engine.connect() as connection:
        found = [pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")]
    assert found == ["delete", 3, 1, 60_000]


def test_a_reader_can_not_write(location: DatabaseLocation, store: Store):
    del store
    with (
        pytest.raises(SurroundingsError, match="readonly"),
        database_errors(location),
        reading_engine(location).begin() as connection,
    ):
        connection.exec_driver_sql("CREATE TABLE t (x)")


def test_a_writer_does_not_make_a_file_that_vanished(location: DatabaseLocation):
    with (
        pytest.raises(SurroundingsError, match="unable to open database file"),
        database_errors(location),
        writing_engine(location).connect(),
    ):
        pass
    assert location.path
    assert not location.path.exists()


def test_a_table_that_fails_to_be_made_leaves_nothing(store: Store):
    def make_and_fail() -> None:
        with store.engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE half (x)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make_and_fail()
    with store.engine.connect() as connection:
        assert "half" not in sa.inspect(connection).get_table_names()


def failing(code: int, text: str) -> Callable[[], None]:
    def fail() -> None:
        cause = sqlite3.OperationalError(text)
        cause.sqlite_errorcode = code
        cause.sqlite_errorname = {
            sqlite3.SQLITE_BUSY: "SQLITE_BUSY",
            sqlite3.SQLITE_IOERR_WRITE: "SQLITE_IOERR_WRITE",
        }[code]
        raise OperationalError("UPDATE x", {}, cause)

    return fail


@pytest.mark.parametrize(
    ("code", "text", "advice"),
    [
        (sqlite3.SQLITE_BUSY, "database is locked", "more than 60 s"),
        (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error", "network drive"),
    ],
)
def test_an_error_of_the_database_names_its_cause_and_what_to_do(
    location: DatabaseLocation, code: int, text: str, advice: str
):
    with pytest.raises(SurroundingsError, match=text) as raised, database_errors(location):
        failing(code, text)()
    assert advice in raised.value.advice
    assert raised.value.where == location.display
    assert "UPDATE" not in str(raised.value)


def test_a_full_disk_is_named(location: DatabaseLocation, store: Store):
    # SQLite's own ceiling on pages fails exactly as a full disk does.
    with store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        with pytest.raises(SurroundingsError, match="database or disk is full") as raised, database_errors(location):
            connection.exec_driver_sql("CREATE TABLE big AS SELECT zeroblob(1000000)")
    assert "tuner resume" in raised.value.advice


def test_a_violated_constraint_is_a_fault_of_the_program(location: DatabaseLocation, store: Store):
    with pytest.raises(IntegrityError), database_errors(location), store.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO tuner_studies (study_id) VALUES (1)")


def test_a_missing_driver_is_named():
    location = DatabaseLocation.parse("postgresql+psycopg2://ann@db/tuning")
    with pytest.raises(InputError, match="pip install psycopg2"):
        writing_engine(location)
