import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tuner.domain.errors import InputError, SurroundingsError, TunerError
from tuner.store.location import DatabaseLocation
from tuner.store.preflight import check_database, create_file, holds_results
from tuner.store.writer import open_store


def sqlite_file(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def text_file(path: Path) -> None:
    path.write_text("# my notes\n" * 100)


def other_application(path: Path) -> None:
    sqlite_file(path, "CREATE TABLE bookmarks (url)", "CREATE TABLE studies (title)")


def newer_schema(path: Path) -> None:
    open_store(DatabaseLocation.parse(str(path))).close()
    sqlite_file(path, "UPDATE tuner_alembic_version SET version_num = '9999'")


def truncated(path: Path) -> None:
    open_store(DatabaseLocation.parse(str(path))).close()
    path.write_bytes(path.read_bytes()[: 3 * 4096])


def overwritten(path: Path) -> None:
    open_store(DatabaseLocation.parse(str(path))).close()
    content = bytearray(path.read_bytes())
    content[2048:-4096] = b"\xa5" * (len(content) - 4096 - 2048)
    path.write_bytes(bytes(content))


def header_only(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


BAD_FILES: list[tuple[Callable[[Path], None], type[TunerError], str]] = [
    (text_file, InputError, "not an SQLite file"),
    (other_application, InputError, "another application"),
    (newer_schema, InputError, "newer tuner"),
    (truncated, SurroundingsError, "malformed"),
    (overwritten, SurroundingsError, "malformed|damaged"),
    (header_only, SurroundingsError, "not a database|malformed"),
    (Path.mkdir, InputError, "a directory"),
]


@pytest.mark.parametrize(("make", "error", "text"), BAD_FILES, ids=lambda value: getattr(value, "__name__", None))
def test_a_file_that_can_not_be_written_to_is_refused_and_left_as_it_was(
    location: DatabaseLocation, make: Callable[[Path], None], error: type[TunerError], text: str
):
    assert location.path
    make(location.path)
    before = sorted((path, path.stat().st_mtime_ns) for path in location.path.parent.rglob("*"))
    content = location.path.read_bytes() if location.path.is_file() else b""
    with pytest.raises(error, match=text) as refused:
        open_store(location)
    assert type(refused.value) is error
    assert refused.value.where == location.display
    assert refused.value.advice
    assert sorted((path, path.stat().st_mtime_ns) for path in location.path.parent.rglob("*")) == before
    assert (location.path.read_bytes() if location.path.is_file() else b"") == content


@pytest.mark.parametrize("make", [text_file, newer_schema, truncated, Path.mkdir])
def test_a_reader_is_refused_too(location: DatabaseLocation, make: Callable[[Path], None]):
    assert location.path
    make(location.path)
    with pytest.raises(TunerError, match=location.display):
        check_database(location, for_writing=False)


def test_a_missing_file_can_be_written_but_not_read(location: DatabaseLocation):
    check_database(location, for_writing=True)
    with pytest.raises(InputError, match="no such result file") as refused:
        check_database(location, for_writing=False)
    assert "tuner run" in refused.value.advice
    assert location.path
    assert not location.path.exists()


@pytest.mark.parametrize(
    ("make", "text"), [(Path.touch, "empty"), (other_application, "no study"), (sqlite_file, "empty")]
)
def test_a_file_without_our_tables_has_nothing_to_read(
    location: DatabaseLocation, make: Callable[[Path], None], text: str
):
    assert location.path
    make(location.path)
    with pytest.raises(InputError, match=text):
        check_database(location, for_writing=False)


def test_an_empty_file_can_be_written(location: DatabaseLocation):
    assert location.path
    location.path.touch()
    open_store(location).close()
    check_database(location, for_writing=False)


def test_a_missing_directory_is_named_with_the_command_that_makes_it(tmp_path: Path):
    location = DatabaseLocation.parse(str(tmp_path / "night" / "results.db"))
    with pytest.raises(SurroundingsError, match=f"mkdir -p {tmp_path}/night"):
        check_database(location, for_writing=True)
    assert not (tmp_path / "night").exists()


def test_a_directory_that_takes_no_files_is_an_error_of_the_surroundings():
    location = DatabaseLocation.parse("/proc/results.db")
    with pytest.raises(SurroundingsError, match="can't be"):
        open_store(location)


def test_a_new_file_is_for_its_owner_only(location: DatabaseLocation):
    create_file(location)
    assert location.path
    assert location.path.stat().st_mode & 0o777 == 0o600


def test_a_file_with_only_optunas_tables_can_be_written(location: DatabaseLocation):
    assert location.path
    sqlite_file(location.path, *(f"CREATE TABLE {name} (x)" for name in ("studies", "trials", "version_info")))
    check_database(location, for_writing=True)


def test_a_locked_file_is_waited_for(location: DatabaseLocation):
    open_store(location).close()
    assert location.path
    with closing(sqlite3.connect(location.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        check_database(location, for_writing=True)
        check_database(location, for_writing=False)


def test_results_are_there_when_the_tables_are(location: DatabaseLocation):
    assert not holds_results(location)
    create_file(location)
    assert not holds_results(location)
    open_store(location).close()
    assert holds_results(location)


def test_optunas_tables_alone_are_no_results(location: DatabaseLocation):
    assert location.path
    sqlite_file(location.path, *(f"CREATE TABLE {name} (x)" for name in ("studies", "trials", "version_info")))
    assert not holds_results(location)
