"""Connections: how SQLite is opened for writing and for reading, and what a database error means to a person.

SQLite stays on the rollback journal: the few writes a minute need no WAL, and SQLite before 3.51.3 can corrupt a WAL
file under several connections. With `synchronous=EXTRA` a commit survives a power loss: FULL does not sync the removal
of the journal, which would undo the last commit when it came back (tests/torture/power.py shows it). A reader opens the
file read-only and reads one snapshot.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import sqlalchemy as sa
from pydantic_core import from_json
from sqlalchemy import Column, Connection, Engine, Select, Table, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from tuner.domain.errors import InputError, SurroundingsError
from tuner.store.location import DatabaseLocation

_BUSY_TIMEOUT = 60.0
"""Seconds that a connection waits for another one's transaction."""

_ADVICE = {
    "SQLITE_FULL": "The disk is full: free some space, then go on with `tuner resume`.",
    "SQLITE_BUSY": f"Another program held the file for more than {_BUSY_TIMEOUT:.0f} s: close it.",
    "SQLITE_READONLY": "The file or its directory can't be written: check their owner and permissions.",
    "SQLITE_CANTOPEN": "Check that the file and its directory still exist and that you may write there.",
    "SQLITE_IOERR": "The disk or the network drive failed: check it, then go on with `tuner resume`.",
    "SQLITE_CORRUPT": "The file is damaged: restore a copy, or save what is left with `sqlite3 FILE .recover`.",
    "SQLITE_NOTADB": "The file is damaged: restore a copy.",
}


class OpenDatabase:
    """A database in use, whichever way; leaving its `with` lets go of the connections."""

    def __init__(self, location: DatabaseLocation, engine: Engine) -> None:
        """Work through the engine; the tables exist."""
        self.location = location
        self.engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self.engine.dispose()


def writing_engine(location: DatabaseLocation) -> Engine:
    """Return an engine whose transactions write; an SQLite file must exist."""
    if location.path is None:
        return _server_engine(location)
    engine = _sqlite_engine(location.path, mode="rw", pragmas=("journal_mode=DELETE", "synchronous=EXTRA"))
    # A transaction that takes its lock at once waits for others; one that takes it later may have to fail.
    event.listen(engine, "begin", _begin_with("BEGIN IMMEDIATE"))
    return engine


def reading_engine(location: DatabaseLocation) -> Engine:
    """Return an engine that can't write, each transaction of it one snapshot."""
    if location.path is None:
        return _server_engine(location).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    engine = _sqlite_engine(location.path, mode="ro", pragmas=())
    event.listen(engine, "begin", _begin_with("BEGIN"))
    return engine


def _begin_with(statement: str) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin


def _sqlite_engine(path: Path, *, mode: str, pragmas: tuple[str, ...]) -> Engine:
    uri = f"file:{quote(str(path))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        # isolation_level None: the driver's own transactions begin too late and not before DDL.
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None)
        for pragma in ("foreign_keys=ON", *pragmas):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=NullPool, json_deserializer=from_json)


def _server_engine(location: DatabaseLocation) -> Engine:
    try:
        return sa.create_engine(location.url, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise InputError(
            f"the database driver {error.name} is not installed",
            where=location.display,
            advice=f"Install it beside the tuner: pip install {error.name}",
        ) from error


def fetch(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    """Return a query's rows by column name."""
    result = connection.execute(query)
    columns = tuple(result.keys())
    return [dict(zip(columns, row, strict=True)) for row in result]


def present_columns(connection: Connection, table: Table) -> list[Column[Any]]:
    """Return the columns of a table that a database has: one of an earlier revision may lack some."""
    there = {each["name"] for each in sa.inspect(connection).get_columns(table.name)}
    return [column for column in table.columns if column.name in there]


def recover_after_crash(path: Path) -> None:
    """Let SQLite undo the transaction that a killed writer left half done, as it asks for.

    A reader can't: it may not write. Every committed transaction stays; a living writer's is left alone.
    """
    try:
        reader = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT)
        with contextlib.closing(reader):
            reader.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        writer = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY_TIMEOUT)
        with contextlib.closing(writer):
            writer.execute("SELECT 1 FROM sqlite_master").fetchone()


@contextlib.contextmanager
def database_errors(location: DatabaseLocation) -> Generator[None]:
    """Turn what the database refuses for reasons of its surroundings into words; the only place that does.

    A violated constraint passes through as it is: that is a fault of the program.

    Raises:
        SurroundingsError: disk full, file locked, unreadable, damaged, or the database server out of reach.
    """
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise _in_words(error.orig or error, location) from error
    except sqlite3.DatabaseError as error:
        raise _in_words(error, location) from error


def _in_words(cause: BaseException, location: DatabaseLocation) -> SurroundingsError:
    name: Any = getattr(cause, "sqlite_errorname", None) or ""
    primary = "_".join(str(name).split("_")[:2])
    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    return SurroundingsError(
        f"the result database can't be used: {reason}", where=location.display, advice=_ADVICE.get(primary, "")
    )
