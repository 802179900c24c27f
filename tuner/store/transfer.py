"""Studies of one result database brought into another, row by row, in one transaction of the target: all or nothing.

Ids are given anew, since both databases count from 1. What is there already is known by its study's name and moment of
creation, then by trial number, attempt and load point index, each with its moment of start: bringing it twice changes
nothing, and a study that has grown since brings what is new. What still runs is left out until it has ended. Raw
records pass through as the bytes they are, and what was pruned in the target stays pruned.

Refuses what contradicts: a name that means two studies, or a study that went on separately in both.
"""

import math
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import Connection, Table
from sqlalchemy.exc import IntegrityError

from tuner.domain.errors import InputError
from tuner.domain.trial import TrialState
from tuner.store.batches import batches
from tuner.store.engine import database_errors, fetch, reading_engine
from tuner.store.location import DatabaseLocation
from tuner.store.optuna_tables import OptunaCopy
from tuner.store.rows import Row
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
from tuner.store.writer import Store

_RAW = (request_records, scrapes, machine_samples)
_AT_ONCE = 200
"""Load points whose raw records are held in memory at the same time."""
_SAME_STUDY = ("created_at", "model", "target_rps", "workload_id", "slo_id")
_SAME_BENCH = ("url", "model", "workload_id", "started_at")
_APART = "Bring it in under another name: `tuner import FILE --study NAME --as OTHER`."


@dataclass(frozen=True, slots=True)
class Brought:
    """What was new of one study."""

    study: str
    """Its name in the target."""
    is_new: bool
    trials: int = 0
    launches: int = 0
    load_points: int = 0
    left_out: int = 0
    """Trials that still run, with what came after them."""

    @property
    def is_nothing(self) -> bool:
        """Whether all of it was there already."""
        return not (self.is_new or self.trials or self.launches or self.load_points)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought."""

    studies: tuple[Brought, ...]
    benches: int


def copy_file(source: DatabaseLocation, copy: DatabaseLocation) -> None:
    """Copy an SQLite database as it is at this moment, opened read-only, also while a study runs in it.

    Raises:
        SurroundingsError: it can't be read, or the copy not written.
    """
    if source.path is None or copy.path is None:
        raise ValueError("only files are copied")
    with database_errors(source):
        original = sqlite3.connect(f"file:{quote(str(source.path))}?mode=ro", uri=True)
        with closing(original), closing(sqlite3.connect(copy.path)) as made:
            original.backup(made)


def transfer(source: DatabaseLocation, store: Store, names: Mapping[str, str], *, with_benches: bool) -> Imported:
    """Bring studies of a database, both at the newest schema, into another one.

    Args:
        source: opened read-only.
        store: the target; the caller holds its lock.
        names: what each study of the source is called in the target.
        with_benches: bring measurements of servers that the tuner did not start, too.

    Raises:
        InputError: a name that is taken by another study, a study that went on in both, or rows that contradict.
        SurroundingsError: one of the databases can't be read or written.
    """
    engine = reading_engine(source)
    try:
        with (
            database_errors(source),
            engine.begin() as reading,
            database_errors(store.location),
            store.engine.begin() as writing,
        ):
            hand = _Hand(reading, writing, source.display, store.location.display, OptunaCopy(reading, writing))
            found = fetch(reading, sa.select(studies).where(studies.c.name.in_(list(names))))
            brought = tuple(hand.study(row, names[row["name"]]) for row in found)
            return Imported(brought, hand.benches() if with_benches else 0)
    except IntegrityError as error:
        raise InputError(f"holds rows that contradict: {error.orig}", where=source.display) from error
    finally:
        engine.dispose()


@dataclass(frozen=True, slots=True)
class _Hand:
    """Carries rows from one open transaction to another."""

    source: Connection
    target: Connection
    source_name: str
    target_name: str
    optuna: OptunaCopy

    def study(self, row: Row, name: str) -> Brought:
        """Bring a study, or what is new of it."""
        ours = next(iter(fetch(self.target, sa.select(studies).where(studies.c.name == name))), None)
        if ours is None:
            study_id = self.optuna.study(row["study_id"], name, self._free(studies))
            spec = {**row["spec"], "study": name}
            self._insert(studies, [{**row, "study_id": study_id, "name": name, "spec": spec}])
        elif any(ours[column] != row[column] for column in _SAME_STUDY):
            what = f"{name} is the name of another study in {self.target_name}"
            raise InputError(what, where=self.source_name, advice=_APART)
        else:
            study_id = ours["study_id"]
        brought = Brought(name, is_new=ours is None)
        ids, brought = self._trials(row["study_id"], study_id, brought)
        launch_ids, brought = self._launches(ids, brought)
        return self._load_points(ids, launch_ids, brought)

    def benches(self) -> int:
        """Bring the measurements of foreign servers that are not there yet; return how many."""
        key = [benches.c[name] for name in _SAME_BENCH]
        known = {tuple(row) for row in self.target.execute(sa.select(*key))}
        found = self.source.execute(sa.select(benches).order_by(benches.c.bench_id)).mappings()
        new = [dict(row) for row in found if tuple(row[name] for name in _SAME_BENCH) not in known]
        self._insert(benches, (_without(row, "bench_id") for row in new))
        return len(new)

    def _trials(self, old_study: int, study_id: int, brought: Brought) -> tuple[dict[int, int], Brought]:
        """Bring trials that have ended; return the target's id of each trial that both have now.

        Optuna counts a study's trials to number the next one: those that only Optuna knows, since the tuner was killed
        before their first row, come along.
        """
        its, there = self._by_number(self.source, old_study), self._by_number(self.target, study_id)
        theirs, ours = self.optuna.trials_of_source(old_study), self.optuna.trials_of_target(study_id)
        end = min((number for number, row in its.items() if row["state"] == TrialState.RUNNING), default=math.inf)
        end = min(end, self.optuna.first_unfinished(old_study))
        ids: dict[int, int] = {}
        for number in sorted(number for number in {*its, *theirs} if number < end):
            if number in its and number in there:
                ids[its[number]["trial_id"]] = self._known_trial(its[number], there[number], study_id, brought.study)
            elif number in its:
                ids[its[number]["trial_id"]] = self._new_trial(its[number], study_id)
            elif number not in ours:
                self.optuna.trial(theirs[number], study_id, self._free(trials))
        new = sum(number < end and number not in there for number in its)
        left_out = sum(number >= end for number in its)
        return ids, replace(brought, trials=new, left_out=left_out)

    def _by_number(self, connection: Connection, study_id: int) -> dict[int, Row]:
        rows = fetch(connection, sa.select(trials).where(trials.c.study_id == study_id))
        return {row["number"]: row for row in rows}

    def _new_trial(self, row: Row, study_id: int) -> int:
        trial_id = self.optuna.trial(row["trial_id"], study_id, self._free(trials))
        self._insert(trials, [{**row, "trial_id": trial_id, "study_id": study_id}])
        return trial_id

    def _known_trial(self, row: Row, known: Row, study_id: int, study: str) -> int:
        """Return the id of a trial that is there; where it still ran there, it has ended now."""
        self._check_same("trial", row, known, row["number"], study)
        if known["state"] == TrialState.RUNNING:
            self._replace(trials, row, known, {"study_id": study_id})
            self.optuna.finish_trial(row["trial_id"], known["trial_id"])
        return known["trial_id"]

    def _launches(self, ids: Mapping[int, int], brought: Brought) -> tuple[dict[int, int], Brought]:
        """Bring launches that have ended; return the target's id of each launch that both have now."""
        there = {(row["trial_id"], row["attempt"]): row for row in self._of(self.target, launches, ids.values())}
        launch_ids: dict[int, int] = {}
        new = 0
        for row in self._of(self.source, launches, ids):
            if row["ended_at"] is None:
                continue
            trial_id = ids[row["trial_id"]]
            known = there.get((trial_id, row["attempt"]))
            if known is not None:
                self._check_same("launch", row, known, row["attempt"], brought.study)
                launch_ids[row["launch_id"]] = known["launch_id"]
                if known["ended_at"] is None:
                    self._replace(launches, row, known, {"trial_id": trial_id})
                continue
            result = self.target.execute(
                sa.insert(launches).values({**_without(row, "launch_id"), "trial_id": trial_id})
            )
            launch_ids[row["launch_id"]] = _key(result.inserted_primary_key)
            new += 1
        return launch_ids, replace(brought, launches=new)

    def _load_points(self, ids: Mapping[int, int], launch_ids: Mapping[int, int], brought: Brought) -> Brought:
        """Bring the load points of launches that both have, with their raw records."""
        columns = (load_points.c.trial_id, load_points.c.point_index, load_points.c.started_at)
        there = {
            (row["trial_id"], row["point_index"]): row
            for row in self._of(self.target, load_points, ids.values(), columns)
        }
        point_ids: dict[int, int] = {}
        for row in self._of(self.source, load_points, ids):
            if row["launch_id"] not in launch_ids:
                continue
            trial_id = ids[row["trial_id"]]
            known = there.get((trial_id, row["point_index"]))
            if known is not None:
                self._check_same("load point", row, known, row["point_index"], brought.study)
                continue
            moved = {"trial_id": trial_id, "launch_id": launch_ids[row["launch_id"]]}
            result = self.target.execute(sa.insert(load_points).values({**_without(row, "load_point_id"), **moved}))
            point_ids[row["load_point_id"]] = _key(result.inserted_primary_key)
        self._raw(point_ids)
        return replace(brought, load_points=len(point_ids))

    def _raw(self, point_ids: Mapping[int, int]) -> None:
        for table in _RAW:
            for some in batches(point_ids, _AT_ONCE):
                query = sa.select(table).where(table.c.load_point_id.in_(some))
                rows = fetch(self.source, query)
                self._insert(table, ({**row, "load_point_id": point_ids[row["load_point_id"]]} for row in rows))

    def _check_same(self, what: str, row: Row, known: Row, number: int, study: str) -> None:
        if row["started_at"] != known["started_at"]:
            raise InputError(
                f"{what} {number} of {study} is another one in {self.target_name}: the study went on in both files",
                where=self.source_name,
                advice=_APART,
            )

    def _of(
        self, connection: Connection, table: Table, ids: Collection[int], columns: Sequence[sa.Column[object]] = ()
    ) -> Iterator[Row]:
        """Yield the rows of trials, in the order in which they were made."""
        (key,) = table.primary_key.columns
        for some in batches(ids, _AT_ONCE):
            query = sa.select(*(columns or table.columns)).where(table.c.trial_id.in_(some)).order_by(key)
            yield from fetch(connection, query)

    def _insert(self, table: Table, rows: Iterable[Row]) -> None:
        listed = [dict(row) for row in rows]
        if listed:
            self.target.execute(sa.insert(table), listed)

    def _replace(self, table: Table, row: Row, known: Row, moved: Row) -> None:
        (key,) = table.primary_key.columns
        values = {**_without(row, key.name), **moved}
        self.target.execute(sa.update(table).where(key == known[key.name]).values(values))

    def _free(self, table: Table) -> int:
        """Return an id that neither our table nor Optuna's has yet."""
        (key,) = table.primary_key.columns
        return 1 + max(self.target.scalar(sa.select(sa.func.max(key))) or 0, self.optuna.highest(key.name))


def _without(row: Row, key: str) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != key}


def _key(primary: Sequence[object] | None) -> int:
    (key,) = primary or (None,)
    if not isinstance(key, int):
        raise TypeError(f"a table gave the key {key!r}")
    return key
