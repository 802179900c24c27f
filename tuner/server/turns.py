"""Turns on the devices of one machine: one launch at a time on each, whichever tuner, study and user it belongs to.

A turn is the operating system's lock (`flock`) on a small file for each device, in a directory that all users share.
It ends with the last process that holds its descriptor, however that ends, and never goes stale: the launch's
supervisor is given the descriptor, so that a killed tuner's turn lasts until its engine is gone. Waiting is fair:
whoever waits stands in the doorway (a second lock), where a tuner that comes back for its next launch has to pass.

What stands in the file is for people, and believed by nobody. Nothing here signals a process or removes a file.
"""

import asyncio
import errno
import fcntl
import json
import os
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tuner.domain.errors import SurroundingsError
from tuner.server import procfs
from tuner.server.whose import plain, user_name

VARIABLE = "TUNER_LOCK_DIR"
"""Another directory for the locks: containers that share GPUs need one that they share too."""
_DIRECTORY = Path("/tmp")  # noqa: S108  # every user's; the files are opened with care
_POLL = 0.2
_LONGEST_NOTE = 1024
_EVERYONE = 0o666
_TRIES = 10

Tell = Callable[[str], None]
Sleep = Callable[[float], Awaitable[Any]]


def lock_directory(environ: Mapping[str, str]) -> Path:
    """Return where the locks of this machine are."""
    return Path(environ.get(VARIABLE) or _DIRECTORY)


@asynccontextmanager
async def turn(
    devices: Sequence[str], study: str, *, directory: Path, on_wait: Tell, sleep: Sleep = asyncio.sleep
) -> AsyncGenerator[tuple[int, ...]]:
    """Hold these devices for a launch, and yield the descriptors that do: whoever inherits them holds the devices too.

    Args:
        devices: what is locked, such as a GPU's UUID; several are taken in one order by everyone, so that two tuners
            never wait for each other.
        study: for whoever waits.
        directory: where the locks are.
        on_wait: told once for each holder that has to be waited for.
        sleep: how to wait.

    Raises:
        SurroundingsError: a lock file can't be made or opened.
    """
    with ExitStack() as held:
        descriptors = [
            await _take(directory / f"tuner-{_file_name(device)}", study, held, on_wait, sleep)
            for device in sorted(set(devices))
        ]
        yield tuple(descriptors)


def _file_name(device: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in device)


async def _take(stem: Path, study: str, held: ExitStack, on_wait: Tell, sleep: Sleep) -> int:
    """Pass the doorway, then take the lock; the doorway is free again as soon as the lock is ours."""
    lock = stem.with_suffix(".lock")
    with ExitStack() as doorway:
        await _locked(stem.with_suffix(".next"), lock, doorway, on_wait, sleep)
        descriptor = await _locked(lock, lock, held, on_wait, sleep)
    note = json.dumps({"pid": os.getpid(), "user": user_name(os.getuid()), "study": study})
    with suppress(OSError):  # another user's file that is not ours to write: the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note.encode(), 0)
    return descriptor


async def _locked(path: Path, note: Path, stack: ExitStack, on_wait: Tell, sleep: Sleep) -> int:
    """Return a descriptor of the file that holds its lock; `stack` closes it."""
    told = ""
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            if _is_still(path, descriptor):
                stack.callback(os.close, descriptor)
                return descriptor
            os.close(descriptor)
            continue
        holder = _holder(note)
        if holder != told:
            told = holder
            on_wait(holder)
        await sleep(_POLL)


def _is_still(path: Path, descriptor: int) -> bool:
    """Return whether the path names the file that was locked: a cleaner of old files may have removed it meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _open(path: Path) -> int:
    """Open a lock file, or make it for everyone.

    An existing one is opened without O_CREAT, which the kernel refuses in a directory like /tmp for files of other
    users (fs.protected_regular). A link is never followed.
    """
    flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):
                return _open_existing(path, flags)
            with suppress(FileExistsError):
                descriptor = os.open(path, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL, _EVERYONE)
                os.fchmod(descriptor, _EVERYONE)
                return descriptor
    except OSError as error:
        raise _no_lock(path, error.strerror or str(error)) from error
    raise _no_lock(path, "somebody removes it again and again")


def _open_existing(path: Path, flags: int) -> int:
    """Open a file that is there. What is no file, such as a pipe that nobody writes into, would hold us up."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    try:
        return os.open(path, flags | os.O_RDWR)
    except PermissionError:
        return os.open(path, flags | os.O_RDONLY)


def _no_lock(path: Path, why: str) -> SurroundingsError:
    return SurroundingsError(
        f"the lock file {path}, which keeps two studies from measuring on one device, can't be opened: {why}",
        advice=f"Remove it if it is nobody's, or name another directory in {VARIABLE}, the same for every tuner here.",
    )


def _holder(path: Path) -> str:
    """Return who holds a lock, by what it wrote into the file."""
    try:
        with path.open("rb") as file:
            note: Any = json.loads(file.read(_LONGEST_NOTE))
        pid, user, study = int(note["pid"]), plain(str(note["user"])), plain(str(note["study"]))
    except (OSError, ValueError, TypeError, LookupError):
        return "another tuner's launch"
    ended = "" if procfs.find(pid) is not None else ", which has ended: its engine is being taken down"
    return f"the launch of study {study} (process {pid} of {user}{ended})"
