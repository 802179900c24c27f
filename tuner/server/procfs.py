"""Processes as /proc shows them: sessions, descendants, identity, signals. Linux only, standard library only.

A process is told apart by its number and its start time together: a number alone may have been given out again.
"""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_RESOURCE_TRACKER = b"multiprocessing.resource_tracker"


@dataclass(frozen=True, slots=True)
class Process:
    """One live process."""

    pid: int
    ppid: int
    sid: int
    start_time: int
    """Clock ticks since boot."""

    @property
    def title(self) -> str:
        """The process's number and title, such as `4601 VLLM::EngineCore`, cut to 80 characters."""
        words = _command_line(self.pid).replace(b"\0", b" ").decode(errors="replace").strip()
        return f"{self.pid} {words}"[:80].rstrip()

    @property
    def is_resource_tracker(self) -> bool:
        """Whether it is Python's resource tracker, which removes shared memory after everyone else has gone."""
        return _RESOURCE_TRACKER in _command_line(self.pid)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that has gone meanwhile, or whose number has a new owner, is left alone."""
        if find(self.pid) == self:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def _command_line(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def find(pid: int) -> Process | None:
    """Return the live process of this number; a zombie counts as gone."""
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The second field is the name in parentheses and may hold anything; the fields after it are plain.
    state, ppid, _group, sid, *rest = stat[stat.rindex(b")") + 2 :].split()
    if state in b"ZX":
        return None
    return Process(pid=pid, ppid=int(ppid), sid=int(sid), start_time=int(rest[15]))


def snapshot() -> list[Process]:
    """Return every live process."""
    pids = (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208  # half the cost of iterdir
    return [process for pid in pids if (process := find(pid)) is not None]


def descendants(root: int) -> list[Process]:
    """Return the live processes below `root`, at any depth, in whatever session they are."""
    children: dict[int, list[Process]] = {}
    for process in snapshot():
        children.setdefault(process.ppid, []).append(process)
    found: list[Process] = []
    heads = [root]
    while heads:
        below = children.pop(heads.pop(), [])
        found += below
        heads += [process.pid for process in below]
    return found


def session_members(sid: int, leader_start_time: int) -> list[Process]:
    """Return the live members of the session whose leader started at `leader_start_time`.

    The kernel gives a session's number out again only when the session has no member left, so that a leader of
    another age, or a member older than the leader, belongs to a stranger's session.
    """
    leader = find(sid)
    if leader is not None and leader.start_time != leader_start_time:
        return []
    return [process for process in snapshot() if process.sid == sid and process.start_time >= leader_start_time]
