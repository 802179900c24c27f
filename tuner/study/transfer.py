"""`tuner import`: the studies of another box's result file in this one, `tuner resume` and optuna-dashboard included.

Owns the order: the other file is understood whole before a byte is written here, an older schema is read from a copy
of it, and one writer works at a time.
"""

import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tuner.domain.errors import InputError
from tuner.domain.study import StudyName
from tuner.proposal.tables import prepare_tables
from tuner.store.engine import database_errors
from tuner.store.location import DatabaseLocation
from tuner.store.lock import writer_lock
from tuner.store.optuna_tables import optuna_schema
from tuner.store.preflight import check_database
from tuner.store.reader import open_reader
from tuner.store.transfer import Imported, copy_file, transfer
from tuner.store.writer import open_store


def import_results(
    source: DatabaseLocation, target: DatabaseLocation, *, study: str | None = None, new_name: str | None = None
) -> Imported:
    """Bring a result file's studies, or one of them, into another file; what is there already stays as it is.

    Args:
        source: where they come from; it is not written to.
        target: where they go; made where it does not exist.
        study: the only one to bring; without it all, and the measurements of foreign servers.
        new_name: what that one is called in the target.

    Raises:
        InputError: no such study, a name that the target has for another one, or a file that is not understood.
        SurroundingsError: a file can't be read or written, or is being written by another process.
    """
    if source.url == target.url:
        raise InputError("a file can't be imported into itself", where=source.display)
    check_database(source, for_writing=False)
    check_database(target, for_writing=True)
    with writer_lock(target, "import"), _snapshot(source, target) as readable:
        names = _names(readable, source, study, new_name)
        with open_store(target) as store, database_errors(target):
            prepare_tables(target.url)
            _check_same_schema(readable, target)
            return transfer(readable, store, names, with_benches=study is None)


def _names(
    readable: DatabaseLocation, source: DatabaseLocation, study: str | None, new_name: str | None
) -> Mapping[str, str]:
    """Return what the studies to bring are called, each of them read once whole: what can't be read is not brought."""
    with open_reader(readable) as reader:
        every = {one.name: one for one in reader.studies()}
        if study is not None and study not in every:
            raise InputError(f"no study named {study!r} in it; there are: {', '.join(every)}", where=source.display)
        chosen = [study] if study is not None else list(every)
        if new_name is not None and len(chosen) != 1:
            raise InputError("one name for several studies", where="--as", advice="Say which one with --study.")
        for name in chosen:
            reader.trials(every[name].id)
    return {name: _valid(new_name) if new_name is not None else name for name in chosen}


def _valid(name: str) -> str:
    try:
        return TypeAdapter[str](StudyName).validate_python(name)
    except ValidationError as error:
        raise InputError(f"{name!r}: {error.errors()[0]['msg']}", where="--as") from error


@contextmanager
def _snapshot(source: DatabaseLocation, beside: DatabaseLocation) -> Generator[DatabaseLocation]:
    """Yield a copy of the source at the newest schema, gone afterwards: a study that runs there is not held up.

    A database server is read as it is, and must be at the newest schema.
    """
    if source.path is None:
        yield source
        return
    directory = beside.path.parent if beside.path else None
    with tempfile.TemporaryDirectory(prefix=".tuner-import-", dir=directory) as made:
        copy = DatabaseLocation.parse(str(Path(made) / "copy.db"))
        copy_file(source, copy)
        with open_store(copy):
            prepare_tables(copy.url)
        yield copy


def _check_same_schema(source: DatabaseLocation, target: DatabaseLocation) -> None:
    found = [optuna_schema(each) for each in (source, target)]
    if found[0] not in (None, found[1]):
        raise InputError(
            f"Optuna's tables have schema {found[0]} there and {found[1]} here",
            where=source.display,
            advice="Upgrade them there: `optuna storage upgrade --storage URL`.",
        )
