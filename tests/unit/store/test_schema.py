from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CheckConstraint

from tuner.domain.trial import TrialRole
from tuner.store.engine import reading_engine, writing_engine
from tuner.store.location import DatabaseLocation
from tuner.store.migrate import is_ours, migrate, migration_config
from tuner.store.preflight import check_database, create_file
from tuner.store.schema import (
    REVISIONS,
    TABLE_PREFIX,
    UtcDateTime,
    launches,
    load_points,
    metadata,
    request_records,
    studies,
    trials,
)
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


def written_at(revision: str, location: DatabaseLocation) -> None:
    """A file as a tuner of that schema left it: a study, a trial with all that refers to it, raw records too."""
    create_file(location)
    engine = writing_engine(location)
    migrate(engine, revision)
    now, nothing = datetime(2026, 3, 1, tzinfo=UTC), dict[str, object]()
    named = {"name": "night", "model": "m", "target_rps": 2.0, "workload_id": "w", "slo_id": "s", "tuner_version": "1"}
    ended = {"state": "measured", "fingerprint": "f", "started_at": now, "ended_at": now}
    launched = {"argv": ["vllm"], "log_path": "x", "started_at": now, "resolved": nothing, "provenance": nothing}
    counts = dict.fromkeys(("requests", "completed", "failed", "achieved_rps", "goodput_rps", "output_tokens_per_s"), 1)
    parts = dict.fromkeys(("arrivals", "summary", "server", "client", "machine"), nothing)
    point = {"kind": "poisson", "rate": 2.0, "seed": "0", "started_at": now, "duration": 1.0, "slo_met": 1, "valid": 1}
    rows = (
        sa.insert(studies).values(study_id=1, created_at=now, spec=nothing, provenance=nothing, **named),
        sa.insert(trials).values(
            trial_id=5, study_id=1, number=0, role="baseline", flags=nothing, resolved=nothing, **ended
        ),
        sa.insert(launches).values(launch_id=7, trial_id=5, attempt=1, **launched),
        sa.insert(load_points).values(
            load_point_id=9, trial_id=5, launch_id=7, point_index=0, **point, **counts, **parts
        ),
        sa.insert(request_records).values(load_point_id=9, data=b"x"),
    )
    with engine.begin() as connection:
        for row in rows:
            connection.execute(row)
    engine.dispose()


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_file_of_every_schema_is_brought_to_the_newest_and_loses_no_row(location: DatabaseLocation, revision: str):
    written_at(revision, location)
    open_store(location).close()
    with reading_engine(location).connect() as connection:
        tables = (studies, trials, launches, load_points, request_records)
        counts = [connection.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables]
        version = connection.exec_driver_sql("SELECT version_num FROM tuner_alembic_version").scalar()
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    assert counts == [1] * len(tables)
    assert version == REVISIONS[-1]


def test_a_file_of_an_older_schema_is_read_as_it_is(location: DatabaseLocation):
    written_at(REVISIONS[0], location)
    assert location.path
    before = location.path.read_bytes()
    check_database(location, for_writing=False)
    assert location.path.read_bytes() == before


def test_after_the_migration_rows_that_refer_to_a_trial_still_go_with_it(location: DatabaseLocation):
    written_at("0001", location)
    with open_store(location) as store, store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tuner_trials")
        assert connection.exec_driver_sql("SELECT count(*) FROM tuner_launches").scalar() == 0


@pytest.mark.parametrize("role", TrialRole)
def test_every_role_can_be_stored_after_the_migration(location: DatabaseLocation, role: TrialRole):
    written_at("0001", location)
    with open_store(location) as store, store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE tuner_trials SET role = :role"), {"role": role.value})


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
