"""The result database for reading: read-only, in a constant number of queries, also while a study is running.

Loads neither Alembic nor Optuna. Results never pass over token times: those are asked for one load point at a time.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Table

from tuner.domain.bench import Bench
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.load import RequestRecord
from tuner.domain.measurement import Scrape
from tuner.domain.overview import Overview
from tuner.domain.telemetry import MachineSample
from tuner.domain.trial import Study, Trial, TrialState
from tuner.store import rows
from tuner.store.batches import batches
from tuner.store.engine import OpenDatabase, database_errors, fetch, present_columns, reading_engine
from tuner.store.location import DatabaseLocation
from tuner.store.overviews import overviews
from tuner.store.preflight import check_database
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

if TYPE_CHECKING:
    from tuner.store.records_codec import RecordColumns

_T = TypeVar("_T")
_AT_ONCE = 500
"""So many load points are asked for in one query."""


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

    def trials(
        self, study_id: int, *, load_points: bool = True, numbers: Sequence[int] | None = None
    ) -> tuple[Trial, ...]:
        """Return a study's trials by number, with their launches, and their load points unless told otherwise.

        Args:
            study_id: the study's.
            load_points: whether their load points are read.
            numbers: those of the trials to read; without it, all.
        """
        chosen = trials.c.study_id == study_id
        with self._snapshot() as connection:
            if numbers is None:
                return _trials(connection, chosen, with_load_points=load_points)
            parts = (chosen & trials.c.number.in_(some) for some in batches(sorted(numbers), _AT_ONCE))
            return tuple(chain.from_iterable(_trials(connection, one, with_load_points=load_points) for one in parts))

    def overviews(self, study_id: int, rate: float, names: Sequence[str]) -> tuple[Overview, ...]:
        """Return a study's trials at a glance, by number: fast, for lists, fronts and choices.

        Args:
            study_id: the study's.
            rate: requests per second that a load point is to speak for.
            names: figures of that load point, such as `ttft_p95` or `goodput_rps`.
        """
        with self._snapshot() as connection:
            return overviews(connection, study_id, rate, names)

    def states(self, study_id: int) -> Counter[TrialState]:
        """Return how many trials of a study are in each state."""
        query = sa.select(trials.c.state, sa.func.count()).where(trials.c.study_id == study_id).group_by(trials.c.state)
        with self._snapshot() as connection:
            return Counter({TrialState(state): count for state, count in connection.execute(query)})

    def trial(self, study_id: int, number: int) -> Trial | None:
        """Return one trial of a study, or None."""
        with self._snapshot() as connection:
            chosen = (trials.c.study_id == study_id) & (trials.c.number == number)
            return next(iter(_trials(connection, chosen, with_load_points=True)), None)

    def records(self, trial_id: int, index: int) -> tuple[RequestRecord, ...]:
        """Return the raw records of a trial's load point; empty when there is none or they were pruned."""
        from tuner.store.records_codec import decode_records  # noqa: PLC0415  # numpy: lists need none

        return self._decoded(request_records, trial_id, index, decode_records) or ()

    def record_columns(self, trial_ids: Sequence[int]) -> "Generator[tuple[int, int, RecordColumns]]":
        """Yield the raw records of trials as columns, trial by trial, and a trial's load points in order.

        Load points without records, because those were pruned, are left out. Never more than a few hundred load points
        are held at a time.

        Yields:
            A trial's id, a load point's index, and its records.
        """
        from tuner.store.records_codec import decode_columns  # noqa: PLC0415

        with self._snapshot() as connection:
            found = sorted(chain.from_iterable(_point_keys(connection, some) for some in batches(trial_ids, _AT_ONCE)))
            for some in batches(found, _AT_ONCE):
                query = sa.select(request_records).where(request_records.c.load_point_id.in_([key for *_, key in some]))
                data = {row["load_point_id"]: row["data"] for row in fetch(connection, query)}
                for trial_id, index, key in some:
                    if key in data:
                        yield trial_id, index, self._whole(data[key], trial_id, index, decode_columns)

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

    def check_optuna(self) -> None:
        """Return where Optuna's own tables stand beside the tuner's.

        Raises:
            InputError: they don't.
        """
        with self._snapshot() as connection:
            there = sa.inspect(connection).has_table("version_info")
        if not there:
            raise InputError(
                "holds no tables of Optuna's", where=self.location.display, advice="`tuner run` or `resume` makes them."
            )

    def _decoded(self, table: Table, trial_id: int, index: int, decode: Callable[[bytes], _T]) -> _T | None:
        point = (load_points.c.trial_id == trial_id) & (load_points.c.point_index == index)
        with self._snapshot() as connection:
            data = connection.scalar(sa.select(table.c.data).join(load_points).where(point))
        return None if data is None else self._whole(data, trial_id, index, decode)

    def _whole(self, data: bytes, trial_id: int, index: int, decode: Callable[[bytes], _T]) -> _T:
        try:
            return decode(data)
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


def _point_keys(connection: Connection, trial_ids: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return trial id, index and key of all load points of trials."""
    columns = (load_points.c.trial_id, load_points.c.point_index, load_points.c.load_point_id)
    query = sa.select(*columns).where(load_points.c.trial_id.in_(trial_ids))
    return [(trial_id, index, key) for trial_id, index, key in connection.execute(query)]


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
    for row in fetch(
        connection, sa.select(*present_columns(connection, table)).join(trials).where(chosen).order_by(order)
    ):
        found[row["trial_id"]].append(row)
    return found
