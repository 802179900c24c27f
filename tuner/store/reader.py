"""The result database for reading: read-only, in a constant number of queries, also while a study is running.

Loads neither Alembic nor Optuna. Results never pass over token times: those are asked for one load point at a time.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from typing import TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Table

from tuner.domain.bench import Bench
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.load import RequestRecord
from tuner.domain.measurement import Scrape
from tuner.domain.telemetry import MachineSample
from tuner.domain.trial import Study, Trial
from tuner.store import rows
from tuner.store.engine import OpenDatabase, database_errors, fetch, reading_engine
from tuner.store.location import DatabaseLocation
from tuner.store.preflight import check_database
from tuner.store.records_codec import decode_records
from tuner.store.schema import (
    benches,
    launches,
    load_points,
    machine_samples,
    request_records,
    scrapes,
    studies,
    trials,
)

_T = TypeVar("_T")


def open_reader(location: DatabaseLocation) -> "Reader":
    """Return a reader of an existing result database.

    Raises:
        InputError: no such file, or not one that this tuner wrote.
        SurroundingsError: the database can't be read.
    """
    check_database(location, for_writing=False)
    return Reader(location, reading_engine(location))


class Reader(OpenDatabase):
    """Reads results; each method sees one committed state of the database.

    Every method raises SurroundingsError where the database can't be read, and InputError where it holds something
    that this version does not understand.
    """

    def studies(self) -> tuple[Study, ...]:
        """Return all studies, the newest last."""
        with self._snapshot() as connection:
            query = sa.select(studies).order_by(studies.c.created_at, studies.c.study_id)
            return tuple(map(rows.study_of, fetch(connection, query)))

    def study(self, name: str) -> Study | None:
        """Return the study of that name, or None."""
        with self._snapshot() as connection:
            found = fetch(connection, sa.select(studies).where(studies.c.name == name))
            return rows.study_of(found[0]) if found else None

    def trials(self, study_id: int, *, load_points: bool = True) -> tuple[Trial, ...]:
        """Return a study's trials by number, with their launches, and their load points unless told otherwise."""
        with self._snapshot() as connection:
            return _trials(connection, trials.c.study_id == study_id, with_load_points=load_points)

    def trial(self, study_id: int, number: int) -> Trial | None:
        """Return one trial of a study, or None."""
        with self._snapshot() as connection:
            chosen = (trials.c.study_id == study_id) & (trials.c.number == number)
            return next(iter(_trials(connection, chosen, with_load_points=True)), None)

    def records(self, trial_id: int, index: int) -> tuple[RequestRecord, ...]:
        """Return the raw records of a trial's load point; empty when there is none or they were pruned."""
        return self._decoded(request_records, trial_id, index, decode_records) or ()

    def scrapes(self, trial_id: int, index: int) -> tuple[Scrape, ...]:
        """Return the scrapes of a trial's load point; empty when there is none or they were pruned."""
        return self._decoded(scrapes, trial_id, index, rows.decode_scrapes) or ()

    def machine_samples(self, trial_id: int, index: int) -> tuple[MachineSample, ...]:
        """Return the machine's readings through a trial's load point; empty when there is none or they were pruned."""
        return self._decoded(machine_samples, trial_id, index, rows.decode_machine_samples) or ()

    def benches(self) -> tuple[tuple[int, Bench], ...]:
        """Return the measurements of servers that the tuner did not start, by id, the newest last."""
        chosen = [column for column in benches.columns if column.name not in {"records", "scrapes"}]
        with self._snapshot() as connection:
            found = fetch(connection, sa.select(*chosen).order_by(benches.c.bench_id))
            return tuple((row["bench_id"], rows.bench_of(row)) for row in found)

    def _decoded(self, table: Table, trial_id: int, index: int, decode: Callable[[bytes], _T]) -> _T | None:
        point = (load_points.c.trial_id == trial_id) & (load_points.c.point_index == index)
        with self._snapshot() as connection:
            data = connection.scalar(sa.select(table.c.data).join(load_points).where(point))
        try:
            return None if data is None else decode(data)
        except ValueError as error:
            where = f"{self.location.display}, trial id {trial_id}, load point {index}"
            raise SurroundingsError(str(error), where=where, advice="Restore a copy of the file.") from error

    @contextlib.contextmanager
    def _snapshot(self) -> Generator[Connection]:
        try:
            with database_errors(self.location), self.engine.begin() as connection:
                yield connection
        except ValidationError as error:
            raise InputError(
                f"holds a {error.title} that this version does not understand",
                where=self.location.display,
                advice="Read it with the version of the tuner that wrote it.",
            ) from error


def _trials(connection: Connection, chosen: ColumnElement[bool], *, with_load_points: bool) -> tuple[Trial, ...]:
    launches_of = _by_trial(connection, launches, chosen, launches.c.attempt)
    points_of: Mapping[int, list[rows.Row]] = {}
    if with_load_points:
        points_of = _by_trial(connection, load_points, chosen, load_points.c.point_index)
    attempts = {row["launch_id"]: row["attempt"] for its in launches_of.values() for row in its}
    return tuple(
        rows.trial_of(
            row,
            launches=map(rows.launch_of, launches_of.get(row["trial_id"], ())),
            load_points=(
                rows.load_point_of(point, attempt=attempts[point["launch_id"]])
                for point in points_of.get(row["trial_id"], ())
            ),
        )
        for row in fetch(connection, sa.select(trials).where(chosen).order_by(trials.c.number))
    )


def _by_trial(
    connection: Connection, table: Table, chosen: ColumnElement[bool], order: ColumnElement[int]
) -> Mapping[int, list[rows.Row]]:
    found: dict[int, list[rows.Row]] = defaultdict(list)
    for row in fetch(connection, sa.select(table).join(trials).where(chosen).order_by(order)):
        found[row["trial_id"]].append(row)
    return found
