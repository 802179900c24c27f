from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CheckConstraint

from tuner.store.engine import reading_engine
from tuner.store.location import DatabaseLocation
from tuner.store.migrate import is_ours, migration_config
from tuner.store.schema import REVISIONS, TABLE_PREFIX, UtcDateTime, metadata
from tuner.store.writer import Store, open_store


def test_the_migrated_schema_is_the_metadata(store: Store):
    with store.engine.connect() as connection:
        options = {"include_name": is_ours, "compare_type": True, "version_table": "tuner_alembic_version"}
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    assert difference == []


def test_the_migrated_checks_are_those_of_the_metadata(store: Store):
    # Alembic compares everything but CHECK constraints.
    def by_name(table: str) -> dict[object, str]:
        return {check["name"]: check["sqltext"] for check in inspector.get_check_constraints(table)}

    with store.engine.connect() as connection:
        inspector = sa.inspect(connection)
        migrated = {name: by_name(name) for name in metadata.tables}
    assert migrated == {
        name: {check.name: str(check.sqltext) for check in table.constraints if isinstance(check, CheckConstraint)}
        for name, table in metadata.tables.items()
    }


def test_every_table_is_named_as_ours(store: Store):
    with store.engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
    assert len(names) == len(metadata.tables) + 1
    assert all(name.startswith(TABLE_PREFIX) for name in names)


def test_the_known_revisions_are_those_of_the_migrations(store: Store):
    with store.engine.connect() as connection:
        scripts = ScriptDirectory.from_config(migration_config(connection))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def test_opening_again_changes_nothing(location: DatabaseLocation):
    open_store(location).close()
    assert location.path
    before = location.path.read_bytes()
    open_store(location).close()
    assert location.path.read_bytes() == before


def test_moments_are_stored_as_utc_text_and_come_back_aware(location: DatabaseLocation, store: Store):
    table = sa.Table("moments", sa.MetaData(), sa.Column("at", UtcDateTime))
    local = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    with store.engine.begin() as connection:
        table.create(connection)
        connection.execute(sa.insert(table), [{"at": local}, {"at": None}])
    with reading_engine(location).connect() as connection:
        assert connection.scalars(sa.select(table.c.at)).all() == [datetime(2026, 2, 28, 23, 30, tzinfo=UTC), None]
        assert connection.exec_driver_sql("SELECT at FROM moments").scalar() == "2026-02-28 23:30:00.000000"


def test_a_moment_without_a_time_zone_is_refused(store: Store):
    naive = datetime(2026, 3, 1)  # noqa: DTZ001  # the point
    statement = sa.select(sa.literal(naive, UtcDateTime))
    with store.engine.connect() as connection, pytest.raises(StatementError, match="no time zone"):
        connection.execute(statement)
