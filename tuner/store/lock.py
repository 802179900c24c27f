"""One writer per database file, held by a lock file beside it.

The lock is the operating system's (`flock`): it ends with its holder, however that ends, and never goes stale. It
spans processes of one machine. A database server needs none: it keeps its writers apart by itself.
"""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any, TextIO

from tuner.domain.errors import SurroundingsError
from tuner.store.location import DatabaseLocation


@contextlib.contextmanager
def writer_lock(location: DatabaseLocation, study: str) -> Generator[None]:
    """Hold the database for this process while the context lasts; the study's name is for whoever comes second.

    Raises:
        SurroundingsError: another process holds it (its pid and study are named), or the lock file can't be made.
    """
    if location.path is None:
        yield
        return
    path = location.work_dir / f"{location.path.name}.lock"
    with _open(path, location) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(file, location) from None
        except OSError as error:  # some network drives have no locks
            raise _no_lock(path, error, location) from error
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "study": study}))
        file.flush()
        yield
        file.truncate(0)  # The file stays: a waiting process may have it open already.


def _open(path: Path, location: DatabaseLocation) -> TextIO:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.fdopen(os.open(path, flags, 0o600), "a+")
    except OSError as error:
        raise _no_lock(path, error, location) from error


def _no_lock(path: Path, error: OSError, location: DatabaseLocation) -> SurroundingsError:
    return SurroundingsError(
        f"the lock file {path} can't be made or locked: {error.strerror}",
        where=location.display,
        advice="Check owner and permissions of its directory, or put the database on a local disk.",
    )


def _held(file: TextIO, location: DatabaseLocation) -> SurroundingsError:
    file.seek(0)
    try:
        holder: Any = json.loads(file.read())
        who = f"process {holder['pid']} on {holder['host']} (study {holder['study']})"
    except (ValueError, TypeError, LookupError):  # the holder has not written it yet
        who = "another process"
    return SurroundingsError(
        f"{who} is writing into this file",
        where=location.display,
        advice="Wait until it ends, or write into another file with --db. Reading commands work meanwhile.",
    )
