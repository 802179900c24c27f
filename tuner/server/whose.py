"""Whose a process is, in one line for people: number, user, command. What the system does not say is left out.

A command line is whatever its process says it is: control characters in it are shown as such, and it is cut.
"""

import os
import pwd
from contextlib import suppress

from tuner.domain.inert import inert
from tuner.server import procfs


def whose(pid: int) -> str:
    """Return a process in words: `process 4711 (alice: python train.py)`."""
    process = procfs.find(pid)
    if process is None:
        return f"process {pid} (not visible from here: in another container?)"
    command = plain(process.title.removeprefix(str(pid)).strip()) or "no command line"
    return f"process {pid} ({_user(pid)}: {command})"


def plain(text: str) -> str:
    """Return text from a stranger as one line without control characters."""
    return " ".join(inert(text).split())


def user_name(uid: int) -> str:
    """Return a user's name, or the number where there is none."""
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"user {uid}"


def _user(pid: int) -> str:
    with suppress(OSError):
        return user_name(os.stat(f"/proc/{pid}").st_uid)  # noqa: PTH116  # one system call
    return "unknown user"
