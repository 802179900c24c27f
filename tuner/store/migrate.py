"""Brings the tuner's tables to the newest schema with Alembic, in one transaction; Optuna's tables stay untouched."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from tuner.store.schema import TABLE_PREFIX, metadata

_SCRIPTS = Path(__file__).parent / "migrations"


def migration_config(connection: Connection) -> Config:
    """Return Alembic's configuration for a connection: no ini file, scripts from the package."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def migrate(engine: Engine, revision: str = "head") -> None:
    """Create or upgrade the tables. What is at the newest revision already is not written to.

    Raises:
        RuntimeError: a row refers to another one that is no longer there; nothing was changed.
    """
    with engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            _without_cascades(connection)
        with connection.begin():
            command.upgrade(migration_config(connection), revision)
            if is_sqlite:
                _check_references(connection)


def _check_references(connection: Connection) -> None:
    broken = (row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check"))
    ours = next((table for table in broken if is_ours(table, "table")), None)
    if ours is not None:
        raise RuntimeError(f"{ours} has a row that refers to none")


def _without_cascades(connection: Connection) -> None:
    """Switch foreign keys off for this connection: SQLite changes a table by copying it and dropping the old one.

    With them on, the drop would delete every row that refers to it. Inside a transaction the switch does nothing, so
    that it goes around SQLAlchemy, which would begin one.
    """
    raw = connection.connection.dbapi_connection
    if raw is not None:
        raw.cursor().execute("PRAGMA foreign_keys=OFF")


def is_ours(name: str | None, kind: str, _parents: object = None) -> bool:
    """Return whether Alembic should look at a table when it compares: only those of the tuner."""
    return kind != "table" or (name is not None and name.startswith(TABLE_PREFIX) and name in metadata.tables)
