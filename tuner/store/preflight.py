"""Whether a database can be used, asked before anything is written: not a byte of a refused file changes."""

import errno
import os
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from tuner.domain.errors import InputError, SurroundingsError
from tuner.store.engine import database_errors, reading_engine, recover_after_crash
from tuner.store.location import DatabaseLocation
from tuner.store.schema import REVISIONS, VERSION_TABLE

_MAGIC = b"SQLite format 3\0"
_OPTUNA_TABLES = frozenset({"studies", "version_info"})
_OTHER_PATH = "Name another file with --db or TUNER_DB."


def check_database(location: DatabaseLocation, *, for_writing: bool) -> None:
    """Return if the database can be read, or written, by this version.

    For writing a missing or an empty file is fine, and so is one that holds only Optuna's tables.

    Raises:
        InputError: no such file (reading), a file of another kind or application, or of a newer tuner.
        SurroundingsError: a missing or unwritable directory, an unreadable, unwritable, locked or damaged file, or a
            database server out of reach.
    """
    if location.path is not None and not _holds_something(location.path, location.display, for_writing=for_writing):
        return
    with database_errors(location):
        if location.path is not None:
            recover_after_crash(location.path)
        engine = reading_engine(location)
        try:
            with engine.connect() as connection:
                _check_content(connection, location, for_writing=for_writing)
        finally:
            engine.dispose()


def holds_results(location: DatabaseLocation) -> bool:
    """Return whether there is something of the tuner to read.

    A missing file holds nothing; neither does one that a tuner killed in its first moments left empty, nor one with
    only Optuna's tables.

    Raises:
        SurroundingsError: the database can't be read.
    """
    if location.path is not None and not (location.path.exists() and location.path.stat().st_size):
        return False
    with database_errors(location):
        engine = reading_engine(location)
        try:
            return sa.inspect(engine).has_table(VERSION_TABLE)
        finally:
            engine.dispose()


def _holds_something(path: Path, display: str, *, for_writing: bool) -> bool:
    """Return whether there is a file with content to look at, after everything that the file system can tell."""
    try:
        if for_writing:
            _check_directory(path.parent, display)
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except FileNotFoundError:
        if for_writing:
            return False
        raise InputError("no such result file", where=display, advice=_how_to_get_one()) from None
    except IsADirectoryError:
        raise InputError("a directory, not a result file", where=display, advice=_OTHER_PATH) from None
    except OSError as error:
        raise _unusable(error.strerror or str(error), display) from error
    if for_writing and not os.access(path, os.W_OK):
        raise _unusable("the file can't be written", display)
    return _is_sqlite(head, display, for_writing=for_writing)


def _check_directory(directory: Path, display: str) -> None:
    if not directory.is_dir():
        raise SurroundingsError(
            f"there is no directory {directory}",
            where=display,
            advice=f"Make it (mkdir -p {directory}), or name another file with --db or TUNER_DB.",
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise _unusable(f"the directory {directory} can't be written", display)


def _unusable(what: str, display: str) -> SurroundingsError:
    return SurroundingsError(what, where=display, advice=f"Check owner and permissions. {_OTHER_PATH}")


def _how_to_get_one() -> str:
    return "`tuner run` makes one; name another one with --db or TUNER_DB."


def _is_sqlite(head: bytes, display: str, *, for_writing: bool) -> bool:
    if not head:
        if for_writing:
            return False
        raise InputError("the file is empty", where=display, advice=_how_to_get_one())
    if head != _MAGIC:
        raise InputError("not an SQLite file", where=display, advice=_OTHER_PATH)
    return True


def _check_content(connection: Connection, location: DatabaseLocation, *, for_writing: bool) -> None:
    if for_writing and location.path is not None:
        _check_integrity(connection, location)
    tables = set(sa.inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        _check_revision(connection, location)
    elif not for_writing:
        raise InputError("holds no study of the tuner", where=location.display, advice=_how_to_get_one())
    elif tables and not tables >= _OPTUNA_TABLES and location.path is not None:
        raise InputError("an SQLite file of another application", where=location.display, advice=_OTHER_PATH)


def _check_integrity(connection: Connection, location: DatabaseLocation) -> None:
    verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if verdict != "ok":
        advice = "Restore a copy, or save what is left with `sqlite3 FILE .recover`."
        raise SurroundingsError(f"the file is damaged: {verdict}", where=location.display, advice=advice)


def _check_revision(connection: Connection, location: DatabaseLocation) -> None:
    revisions = set(connection.scalars(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")))  # noqa: S608  # a constant
    if not revisions <= set(REVISIONS):
        raise InputError(
            f"written by a newer tuner (schema {', '.join(sorted(revisions))}, this one knows up to {REVISIONS[-1]})",
            where=location.display,
            advice=f"Install the newer version. {_OTHER_PATH}",
        )


def create_file(location: DatabaseLocation) -> None:
    """Make the SQLite file if it is missing, readable by its owner only.

    Raises:
        SurroundingsError: it can't be made.
    """
    if location.path is None:
        return
    try:
        os.close(os.open(location.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        what = "no space left for the file" if error.errno == errno.ENOSPC else f"can't be made: {error.strerror}"
        raise _unusable(what, location.display) from error
