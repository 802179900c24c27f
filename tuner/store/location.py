"""Where a result database is: a path, or a URL of another database server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from tuner.domain.errors import InputError

_FORMS = "Write a path such as results.db, or a URL such as postgresql+psycopg://user@host/database."


@dataclass(frozen=True, slots=True)
class DatabaseLocation:
    """The place of one result database."""

    url: str
    """An SQLAlchemy URL, password included: never show it."""
    path: Path | None
    """The resolved path of an SQLite file; None for a database server."""
    display: str
    """What a message calls it: the path as the user wrote it, or the URL without its password."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the location that a path or an SQLAlchemy URL names.

        Raises:
            InputError: neither a path nor a URL that SQLAlchemy knows, or an SQLite URL that names no plain file.
        """
        if "://" not in text:
            return cls._of_file(text, display=text)
        url = _url(text)
        if url.get_backend_name() == "sqlite":
            return cls._of_file(_file_of(url), display=text)
        return cls(url.render_as_string(hide_password=False), None, url.render_as_string(hide_password=True))

    @classmethod
    def _of_file(cls, text: str, *, display: str) -> Self:
        if not text.strip() or "\0" in text:
            raise InputError(f"{text!r} names no file", where="--db", advice=_FORMS)
        path = Path(text).expanduser().resolve()
        return cls(URL.create("sqlite", database=str(path)).render_as_string(), path, display)

    @property
    def work_dir(self) -> Path:
        """Where the files beside the database belong: logs, the lock. Not made here."""
        return (self.path.parent if self.path else Path.cwd()) / ".tuner"


def _url(text: str) -> URL:
    try:
        url = make_url(text)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        # The text may hold a password, and so may the library's message.
        raise InputError("not a database URL that SQLAlchemy knows", where="--db", advice=_FORMS) from error
    return url


def _file_of(url: URL) -> str:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
        raise InputError(f"{url} names no plain file", where="--db", advice=_FORMS)
    return url.database
