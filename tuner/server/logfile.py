"""The log file of a launch: made private, read whole, secrets blanked. Standard library only."""

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

_LONGEST_READ = 16 * 1024 * 1024
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


def create(path: Path) -> int:
    """Create the log, readable by its owner alone, and return its descriptor, opened for appending.

    Raises:
        OSError: it can't be made, or a link stands in its place.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, _FLAGS, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def read(path: Path) -> str:
    """Return the log's text; of a huge one the first and the last half of 16 MiB. A missing log is empty."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(0)
            if size <= _LONGEST_READ:
                return log.read().decode(errors="replace")
            head = log.read(_LONGEST_READ // 2)
            log.seek(-_LONGEST_READ // 2, os.SEEK_END)
            return (head + b"\n" + log.read()).decode(errors="replace")
    except OSError:
        return ""


def scrub(path: Path, secrets: Sequence[str]) -> None:
    """Overwrite every occurrence of the secrets with asterisks, in place; a missing log needs none."""
    try:
        with path.open("r+b") as log:
            if os.fstat(log.fileno()).st_size == 0:
                return
            with mmap.mmap(log.fileno(), 0) as text:
                for secret in secrets:
                    _blank(text, secret.encode())
    except OSError:
        return


def _blank(text: mmap.mmap, secret: bytes) -> None:
    position = text.find(secret) if secret else -1
    while position >= 0:
        text[position : position + len(secret)] = b"*" * len(secret)
        position = text.find(secret, position + len(secret))
