"""The small process between the tuner and vLLM: it owns the engine's processes and takes all of them down.

Run as `python -m tuner.server.supervisor`, in a session of its own. It reads one JSON line (the fields of `Spec`), then
commands, from stdin; it writes events as JSON lines to stdout:

    {"event": "started", "pid": …, "start_time": …}        the engine's leader runs (its pid is its session's number)
    {"event": "failed", "error": …}                        it could not be started; the end
    {"event": "exited", "code": …}                         the leader ended, by itself or not
    {"event": "stopped", "code": …, "killed": […], "survivors": […]}   nothing of the engine is left; the end

The engine is stopped on `stop`, at once on `kill`, on SIGTERM, and when the tuner is gone: stdin closes, or the parent
changes (another child of the tuner may hold the pipe open). Being the subreaper of everything the engine starts, the
supervisor sees processes that leave the engine's session too. Imports the standard library only, and little of it.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tuner.server import logfile, procfs

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TICK = 1.0
"""Seconds between two looks at the parent."""
_POLL = 0.02
"""Seconds between two looks at processes that are about to go."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    log_path: str
    secrets: tuple[str, ...]
    """Values to blank in the log at the end."""
    parent: int
    """The tuner's pid."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for each step of the stop ladder. Nothing outlives a killed tuner by ten seconds."""

    term: float = 5.0
    """The leader, after SIGTERM."""
    rest: float = 0.5
    """The others, after the leader's end: on the way out already, mostly."""
    kill: float = 1.5
    """Everyone, after SIGKILL."""
    tracker: float = 2.0
    """The resource tracker, to remove the shared memory of the others; more where time is left."""
    whole: float = 9.0
    """All of it together."""


class Engine:
    """The engine's processes, from the first to the last."""

    def __init__(self, spec: Spec) -> None:
        """Start the leader in a session of its own, its output in the log.

        Raises:
            OSError: no such program or directory, or no log can be written.
        """
        log = logfile.create(Path(spec.log_path))
        try:
            self._leader = subprocess.Popen(  # noqa: S603  # an argv, no shell
                spec.argv,
                env=spec.env,
                cwd=spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # one thread, and a system call
            )
        finally:
            os.close(log)
        self.pid = self._leader.pid
        process = procfs.find(self.pid)
        self.start_time = process.start_time if process is not None else 0
        self.exit_code: int | None = None

    def reap(self) -> None:
        """Collect every child that ended, orphans of the engine included."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.pid:
                    self.exit_code = self._leader.returncode = os.waitstatus_to_exitcode(ended[1])

    @property
    def has_exited(self) -> bool:
        """Whether the leader ended."""
        return self.exit_code is not None

    def processes(self) -> list[procfs.Process]:
        """Return every live process of the engine."""
        self.reap()
        found = {process.pid: process for process in procfs.descendants(os.getpid())}
        found |= {process.pid: process for process in procfs.session_members(self.pid, self.start_time)}
        return list(found.values())

    def others(self) -> list[procfs.Process]:
        """Return every live process of the engine but resource trackers."""
        return [process for process in self.processes() if not process.is_resource_tracker]


def stop(engine: Engine, patience: Patience, *, gently: bool, clock: Callable[[], float] = time.monotonic) -> list[str]:
    """Take the engine down, and return the titles of the processes that had to be killed.

    The ladder: SIGTERM to the leader, SIGKILL to everyone but resource trackers until nobody is left, and the trackers
    last, when they had time to remove the shared memory of the others.
    """
    began = clock()
    if gently:
        _terminate(engine, patience, clock)
    killed: dict[int, str] = {}
    deadline = clock() + patience.kill
    while (alive := engine.others()) and clock() < deadline:
        for process in alive:
            killed.setdefault(process.pid, process.title)
            process.send(signal.SIGKILL)
        time.sleep(_POLL)
    if _wait(lambda: bool(engine.processes()), max(patience.tracker, began + patience.whole - clock()), clock):
        for process in engine.processes():
            process.send(signal.SIGKILL)
        _wait(lambda: bool(engine.processes()), patience.rest, clock)
    return list(killed.values())


def _terminate(engine: Engine, patience: Patience, clock: Callable[[], float]) -> None:
    leader = procfs.find(engine.pid)
    if leader is not None and not engine.has_exited:
        leader.send(signal.SIGTERM)
        _wait(lambda: bool(engine.processes()) and not engine.has_exited, patience.term, clock)
    if engine.has_exited:
        _wait(lambda: bool(engine.others()), patience.rest, clock)


def _wait(unfinished: Callable[[], bool], seconds: float, clock: Callable[[], float]) -> bool:
    """Wait while it is unfinished, and return whether it still is."""
    deadline = clock() + seconds
    while unfinished():
        if clock() >= deadline:
            return True
        time.sleep(_POLL)
    return False


def _die_with_parent() -> None:
    """Have the leader terminated if the supervisor itself is killed: the last line of defence."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Supervisor:
    """Commands in, events out, one engine in between."""

    def __init__(self, commands: int, events: int, wakeups: int) -> None:
        """Take the descriptors to read commands from, to write events to, and on which signals wake the loop."""
        self._commands = commands
        self._events = events
        self._wakeups = wakeups
        self._buffer = b""

    def run(self, patience: Patience) -> None:
        """Read the spec, run the engine to its end, whoever brings it about."""
        line = self._read_line()
        if line is None:
            return
        raw = json.loads(line)
        spec = Spec(**raw | {"argv": tuple(raw["argv"]), "secrets": tuple(raw["secrets"])})
        try:
            engine = Engine(spec)
        except OSError as error:
            self._emit({"event": "failed", "error": f"{error.strerror or error}: {error.filename or spec.argv[0]}"})
            return
        self._emit({"event": "started", "pid": engine.pid, "start_time": engine.start_time})
        self._supervise(engine, spec, patience)

    def _supervise(self, engine: Engine, spec: Spec, patience: Patience) -> None:
        try:
            gently = self._wait_for_the_end(engine, spec.parent)
            if engine.has_exited:
                self._emit({"event": "exited", "code": engine.exit_code})
            killed = stop(engine, patience, gently=gently)
        finally:
            logfile.scrub(Path(spec.log_path), spec.secrets)
        survivors = [process.title for process in engine.processes()]
        self._emit({"event": "stopped", "code": engine.exit_code, "killed": killed, "survivors": survivors})

    def _wait_for_the_end(self, engine: Engine, parent: int) -> bool:
        """Return when the engine has to go: whether gently."""
        while True:
            engine.reap()
            if engine.has_exited or os.getppid() != parent:
                return True
            read_already = b"\n" in self._buffer  # a command that came with the spec, in one piece
            ready, _, _ = select.select([self._commands, self._wakeups], [], [], 0 if read_already else _TICK)
            if self._wakeups in ready and signal.SIGTERM in os.read(self._wakeups, 64):
                return True
            if read_already or self._commands in ready:
                command = self._read_line()
                if command in (None, b"stop", b"kill"):
                    engine.reap()
                    return command != b"kill"

    def _read_line(self) -> bytes | None:
        """Return the next line from the tuner; None when it is gone."""
        while b"\n" not in self._buffer:
            try:
                chunk = os.read(self._commands, 65536)
            except OSError:
                return None
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _emit(self, event: dict[str, Any]) -> None:
        with suppress(OSError):  # the tuner is gone: its engine still has to go
            os.write(self._events, json.dumps(event).encode() + b"\n")


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the signal's number arrives through the wake-up descriptor."""


def main() -> None:
    """Supervise one engine."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeups, wakeups_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakeups_end, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        # Handlers that do nothing, rather than SIG_IGN: the engine must not inherit ignored signals.
        signal.signal(number, _wake)
    Supervisor(sys.stdin.fileno(), sys.stdout.fileno(), wakeups).run(Patience())


if __name__ == "__main__":
    main()
