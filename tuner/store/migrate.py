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


def migrate(engine: Engine) -> None:
    """Create or upgrade the tables. What is at the newest revision already is not written to."""
    with engine.begin() as connection:
        command.upgrade(migration_config(connection), "head")


def is_ours(name: str | None, kind: str, _parents: object = None) -> bool:
    """Return whether Alembic should look at a table when it compares: only those of the tuner."""
    return kind != "table" or (name is not None and name.startswith(TABLE_PREFIX) and name in metadata.tables)
