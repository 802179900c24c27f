"""The result database for writing: one transaction a method, committed and on disk when the method returns.

The caller holds `tuner.store.lock.writer_lock` meanwhile. Keys are Optuna's, where a study or a trial is made first.
"""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Table
from sqlalchemy.exc import IntegrityError

from tuner.domain.bench import Bench
from tuner.domain.errors import InputError
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import Flags, FlagValue
from tuner.domain.load import RequestRecord
from tuner.domain.measurement import Capacity, LoadPoint, Scrape
from tuner.domain.study import StudySpec
from tuner.domain.telemetry import MachineSample
from tuner.domain.trial import Provenance, Purpose, Study, TrialRole, TrialState
from tuner.store import rows
from tuner.store.engine import OpenDatabase, database_errors, fetch, writing_engine
from tuner.store.location import DatabaseLocation
from tuner.store.migrate import migrate
from tuner.store.preflight import check_database, create_file
from tuner.store.records_codec import encode_records
from tuner.store.schema import benches, launches, load_points, machine_samples, request_records, studies, trials
from tuner.store.schema import scrapes as scrapes_table

_INTERRUPTED = Failure(kind=FailureKind.INTERRUPTED, evidence="the tuner stopped while the trial ran")


def open_store(location: DatabaseLocation) -> "Store":
    """Return the store of a database, made and brought to the newest schema where needed.

    Raises:
        InputError: a file of another kind or application, or of a newer tuner.
        SurroundingsError: the database can't be made, read or written.
    """
    check_database(location, for_writing=True)
    create_file(location)
    store = Store(location, writing_engine(location))
    with database_errors(location):
        migrate(store.engine)
    return store


class Store(OpenDatabase):
    """Writes results. Every method raises SurroundingsError where the database can't be written."""

    def study(self, name: str) -> Study | None:
        """Return the study of that name, or None."""
        with self._transaction() as connection:
            found = fetch(connection, sa.select(studies).where(studies.c.name == name))
        return rows.study_of(found[0]) if found else None

    def create_study(self, study_id: int, spec: StudySpec, provenance: Provenance, created_at: datetime) -> None:
        """Add a study.

        Raises:
            InputError: a study of that name or id is there already.
        """
        try:
            self._insert(studies, rows.study_row(study_id, spec, provenance, created_at))
        except IntegrityError as error:
            raise InputError(
                f"a study named {spec.study} is in it already",
                where=self.location.display,
                advice=f"Continue it with `tuner resume {spec.study}`, or choose another name.",
            ) from error

    def update_spec(self, study_id: int, spec: StudySpec) -> None:
        """Replace a study's spec, when its budget changed for instance."""
        self._update(studies, study_id, rows.spec_row(spec))

    def begin_trial(
        self,
        trial_id: int,
        study_id: int,
        number: int,
        *,
        role: TrialRole,
        flags: Flags,
        resolved: Mapping[str, FlagValue | None],
        fingerprint: str,
        started_at: datetime,
    ) -> None:
        """Add a trial, running from now on."""
        row = {
            "trial_id": trial_id,
            "study_id": study_id,
            "number": number,
            "role": role.value,
            "state": TrialState.RUNNING.value,
            "flags": dict(flags),
            "resolved": dict(resolved),
            "fingerprint": fingerprint,
            "started_at": started_at,
        }
        self._insert(trials, row)

    def begin_launch(
        self,
        trial_id: int,
        attempt: int,
        *,
        purpose: Purpose = Purpose.MEASURE,
        argv: Sequence[str],
        log_path: str,
        started_at: datetime,
        provenance: Provenance,
    ) -> int:
        """Add a launch before its process starts, and return its id. `attempt` counts a trial's launches from 1."""
        row = {
            "trial_id": trial_id,
            "attempt": attempt,
            "purpose": purpose.value,
            "argv": list(argv),
            "log_path": log_path,
            "started_at": started_at,
            "resolved": {},
            "provenance": provenance.model_dump(mode="json"),
        }
        return self._insert(launches, row)

    def launch_ready(self, launch_id: int, ready_after: float) -> None:
        """Note that a launch gave its first correct completion, so many seconds after its start."""
        self._update(launches, launch_id, {"ready_after": ready_after})

    def launch_measured(self, launch_id: int, capacity: Capacity) -> None:
        """Note the capacity that a launch's own load points show, all of them measured."""
        self._update(launches, launch_id, rows.capacity_row(capacity))

    def end_launch(
        self,
        launch_id: int,
        ended_at: datetime,
        exit_code: int | None,
        failure: Failure | None,
        resolved: Mapping[str, Any],
    ) -> None:
        """Close a launch, with the settings that were in force."""
        row = {"ended_at": ended_at, "exit_code": exit_code, "resolved": dict(resolved), **rows.failure_row(failure)}
        self._update(launches, launch_id, row)

    def save_load_point(
        self,
        trial_id: int,
        launch_id: int,
        point: LoadPoint,
        records: Sequence[RequestRecord],
        scrapes: Sequence[Scrape],
        samples: Sequence[MachineSample] = (),
    ) -> int:
        """Add a load point with its raw records and readings, all or nothing, and return its id.

        `point.index` counts on over all launches of the trial.
        """
        row = rows.load_point_row(trial_id, launch_id, point)
        raw = {
            request_records: encode_records(records),
            scrapes_table: rows.encode_scrapes(scrapes),
            machine_samples: rows.encode_machine_samples(samples),
        }
        with self._transaction() as connection:
            load_point_id = _inserted(connection, load_points, row)
            for table, data in raw.items():
                connection.execute(sa.insert(table).values(load_point_id=load_point_id, data=data))
        return load_point_id

    def save_bench(self, bench: Bench, records: Sequence[RequestRecord], scrapes: Sequence[Scrape]) -> int:
        """Add a measurement of a server that the tuner did not start, and return its id."""
        raw = {"records": encode_records(records), "scrapes": rows.encode_scrapes(scrapes)}
        return self._insert(benches, rows.bench_row(bench) | raw)

    def finish_trial(
        self,
        trial_id: int,
        state: TrialState,
        *,
        ended_at: datetime,
        capacity: Capacity | None = None,
        values: Mapping[str, float] | None = None,
        failure: Failure | None = None,
        duplicate_of: int | None = None,
        resolved: Mapping[str, FlagValue | None] | None = None,
        fingerprint: str | None = None,
    ) -> None:
        """Close a trial. `resolved` and `fingerprint` replace what `begin_trial` said, where given."""
        row = {
            "state": state.value,
            "ended_at": ended_at,
            "objective_values": dict(values) if values else None,
            "duplicate_of": duplicate_of,
            **rows.capacity_row(capacity),
            **rows.failure_row(failure),
        }
        if resolved is not None:
            row["resolved"] = dict(resolved)
        if fingerprint is not None:
            row["fingerprint"] = fingerprint
        self._update(trials, trial_id, row)

    def interrupt_running(self, study_id: int, ended_at: datetime) -> list[int]:
        """Close the trials and the launches that a stopped tuner left open; return the trials' ids."""
        running = (trials.c.study_id == study_id) & (trials.c.state == TrialState.RUNNING.value)
        interrupted = {"state": TrialState.INTERRUPTED.value, "ended_at": ended_at, **rows.failure_row(_INTERRUPTED)}
        with self._transaction() as connection:
            ids = list(connection.scalars(sa.select(trials.c.trial_id).where(running).order_by(trials.c.number)))
            of_study = sa.select(trials.c.trial_id).where(trials.c.study_id == study_id)
            still_open = launches.c.trial_id.in_(of_study) & launches.c.ended_at.is_(None)
            connection.execute(sa.update(launches).where(still_open).values(ended_at=ended_at))
            connection.execute(sa.update(trials).where(running).values(interrupted))
        return ids

    def _insert(self, table: Table, row: Mapping[str, Any]) -> int:
        with self._transaction() as connection:
            return _inserted(connection, table, row)

    def _update(self, table: Table, key: int, row: Mapping[str, Any]) -> None:
        (key_column,) = table.primary_key.columns
        with self._transaction() as connection:
            result = connection.execute(sa.update(table).where(key_column == key).values(row))
            if result.rowcount != 1:
                raise LookupError(f"{table.name} has no {key_column.name} {key}")

    @contextlib.contextmanager
    def _transaction(self) -> Generator[Connection]:
        with database_errors(self.location), self.engine.begin() as connection:
            yield connection


def _inserted(connection: Connection, table: Table, row: Mapping[str, Any]) -> int:
    (key,) = connection.execute(sa.insert(table).values(row)).inserted_primary_key or (None,)
    if not isinstance(key, int):
        raise TypeError(f"{table.name} gave the key {key!r}")
    return key
