"""Result files and stored studies, as commands name them."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Generator

    from tuner.domain.trial import Study
    from tuner.store.reader import Reader


@contextmanager
def open_results(db: str) -> "Generator[Reader]":
    """Open a result file for reading."""
    from tuner.store.location import DatabaseLocation
    from tuner.store.reader import open_reader

    with open_reader(DatabaseLocation.parse(db)) as reader:
        yield reader


@contextmanager
def chosen_study(db: str, name: str | None) -> "Generator[tuple[Reader, Study]]":
    """Open a result file at the study of this name, or at the newest.

    Raises:
        InputError: no study, or none of this name.
    """
    with open_results(db) as reader:
        found = reader.study(name) if name else next(reversed(reader.studies()), None)
        if found is None:
            names = ", ".join(each.name for each in reader.studies())
            what = f"no study named {name!r} in it; there are: {names}" if names else "no study in it yet"
            where = reader.location.display
            raise InputError(what, where=where, advice="" if names else "`tuner run` starts one")
        yield reader, found
