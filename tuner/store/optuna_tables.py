"""Optuna's own tables, copied from one result database to another of the same Optuna schema.

Knows their names and keys by reflection, and nothing of what they mean: this package does not import Optuna. A database
that a tuner never ran with holds none of them, and then nothing is copied.
"""

import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Table

from tuner.store.engine import fetch, reading_engine
from tuner.store.location import DatabaseLocation

_OF_STUDY = ("study_directions", "study_user_attributes", "study_system_attributes")
_OF_TRIAL = (
    "trial_user_attributes", "trial_system_attributes", "trial_params", "trial_values", "trial_intermediate_values",
)  # fmt: skip
_TABLES = {"study_id": "studies", "trial_id": "trials"}
_VERSION = "alembic_version"
_UNFINISHED = frozenset({"RUNNING", "WAITING"})


def optuna_schema(location: DatabaseLocation) -> str | None:
    """Return the revision of Optuna's tables in a database; None where there are none."""
    engine = reading_engine(location)
    try:
        if not sa.inspect(engine).has_table(_VERSION):
            return None
        with engine.begin() as connection:
            return connection.scalar(sa.text(f"SELECT version_num FROM {_VERSION}"))  # noqa: S608  # a constant
    finally:
        engine.dispose()


class OptunaCopy:
    """Copies studies and trials between two open transactions."""

    def __init__(self, source: Connection, target: Connection) -> None:
        """Reflect the target's tables, which exist; the source has the same ones, or none."""
        self._source, self._target = source, target
        metadata = MetaData()
        metadata.reflect(target, only=[*_TABLES.values(), *_OF_STUDY, *_OF_TRIAL])
        self._tables = metadata.tables
        self._has_any = sa.inspect(source).has_table("trials")

    def highest(self, key: str) -> int:
        """Return the target's highest study id or trial id, 0 without any."""
        column = self._tables[_TABLES[key]].c[key]
        return self._target.scalar(sa.select(sa.func.max(column))) or 0

    def trials_of_source(self, study_id: int) -> dict[int, int]:
        """Return the ids of a study's trials in the source, by number."""
        return self._numbered(self._source, study_id) if self._has_any else {}

    def trials_of_target(self, study_id: int) -> dict[int, int]:
        """Return the ids of a study's trials in the target, by number."""
        return self._numbered(self._target, study_id)

    def first_unfinished(self, study_id: int) -> float:
        """Return the number of the source's first trial that runs or waits; infinity without any."""
        if not self._has_any:
            return math.inf
        table = self._tables["trials"]
        query = sa.select(table.c.number, table.c.state).where(table.c.study_id == study_id)
        return min((row.number for row in self._source.execute(query) if row.state in _UNFINISHED), default=math.inf)

    def _numbered(self, connection: Connection, study_id: int) -> dict[int, int]:
        table = self._tables["trials"]
        query = sa.select(table.c.number, table.c.trial_id).where(table.c.study_id == study_id)
        return {row.number: row.trial_id for row in connection.execute(query)}

    def study(self, old: int, name: str, free: int) -> int:
        """Copy a study under a name; return its new id: `free`, unless the database gives ids itself."""
        return self._copied("studies", "study_id", old, free, {"study_name": name}, _OF_STUDY)

    def trial(self, old: int, study_id: int, free: int) -> int:
        """Copy a trial into a study; return its new id, as `study` does."""
        return self._copied("trials", "trial_id", old, free, {"study_id": study_id}, _OF_TRIAL)

    def finish_trial(self, old: int, new: int) -> None:
        """Bring a trial that ran in the target to where it ended in the source."""
        rows = self._rows("trials", "trial_id", old)
        if not rows:
            return
        table = self._tables["trials"]
        ended = {name: rows[0][name] for name in ("state", "datetime_complete")}
        self._target.execute(sa.update(table).where(table.c.trial_id == new).values(ended))
        for name in _OF_TRIAL:
            self._target.execute(sa.delete(self._tables[name]).where(self._tables[name].c.trial_id == new))
            self._copy_parts(name, "trial_id", old, new)

    def _copied(
        self, name: str, key: str, old: int, free: int, changed: Mapping[str, Any], parts: tuple[str, ...]
    ) -> int:
        rows = self._rows(name, key, old)
        if not rows:
            return free
        own = {column: value for column, value in rows[0].items() if column != key} | dict(changed)
        if self._target.dialect.name == "sqlite":
            own[key] = free  # A server's sequence would not notice ids that it did not give.
        (new,) = self._target.execute(sa.insert(self._tables[name]).values(own)).inserted_primary_key or (free,)
        for part in parts:
            self._copy_parts(part, key, old, new)
        return new

    def _copy_parts(self, name: str, key: str, old: int, new: int) -> None:
        table = self._tables[name]
        (primary,) = table.primary_key.columns
        rows = [
            {column: value for column, value in row.items() if column != primary.name} | {key: new}
            for row in self._rows(name, key, old)
        ]
        if rows:
            self._target.execute(sa.insert(table), rows)

    def _rows(self, name: str, key: str, old: int) -> list[dict[str, Any]]:
        if not self._has_any:
            return []
        table: Table = self._tables[name]
        return fetch(self._source, sa.select(table).where(table.c[key] == old))
