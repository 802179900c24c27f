"""Raw records taken out of a result database: request records, scrapes and machine samples. Figures all stay.

Owns how much they take and their removal. Which of them may go is the caller's to say.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from tuner.store.batches import batches
from tuner.store.engine import database_errors, fetch, reading_engine
from tuner.store.location import DatabaseLocation
from tuner.store.schema import load_points, machine_samples, request_records, scrapes, trials

if TYPE_CHECKING:  # the writer brings Alembic along, which reading must not wait for
    from tuner.store.writer import Store

_RAW = (request_records, scrapes, machine_samples)
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RawData:
    """What one load point keeps of its raw records."""

    load_point_id: int
    trial: int
    """The trial's number."""
    started_at: datetime
    size: int
    """Bytes, compressed as they are stored."""


def raw_data(location: DatabaseLocation, study_id: int) -> tuple[RawData, ...]:
    """Return what the load points of a study keep, those without any left out."""
    point = (load_points.c.load_point_id, load_points.c.started_at, trials.c.number)
    sizes = [sa.func.coalesce(sa.func.length(table.c.data), 0).label(table.name) for table in _RAW]
    query = sa.select(*point, *sizes).join(trials, load_points.c.trial_id == trials.c.trial_id)
    for table in _RAW:
        query = query.outerjoin(table, table.c.load_point_id == load_points.c.load_point_id)
    engine = reading_engine(location)
    try:
        with database_errors(location), engine.begin() as connection:
            rows = fetch(connection, query.where(trials.c.study_id == study_id).order_by(load_points.c.load_point_id))
    finally:
        engine.dispose()
    found = (
        RawData(row["load_point_id"], row["number"], row["started_at"], size=sum(row[table.name] for table in _RAW))
        for row in rows
    )
    return tuple(each for each in found if each.size)


def remove_raw_data(store: "Store", load_point_ids: Collection[int]) -> None:
    """Take out the raw records of load points, all or nothing. The caller holds the writer's lock."""
    with database_errors(store.location), store.engine.begin() as connection:
        for some in batches(load_point_ids, _AT_ONCE):
            for table in _RAW:
                connection.execute(sa.delete(table).where(table.c.load_point_id.in_(some)))


def give_back_space(store: "Store") -> None:
    """Make an SQLite file as small as what it holds; a database server does that by itself.

    Takes as much free disk space as the file has afterwards.
    """
    if store.location.path is None:
        return
    with database_errors(store.location), store.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        if raw is not None:  # Around SQLAlchemy, which would begin a transaction: VACUUM refuses to run in one.
            raw.cursor().execute("VACUUM")
