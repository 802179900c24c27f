"""The `tuner` command, run in this process, killed at its n-th step: `crashing_tuner.py LEDGER N ARGUMENTS…`.

A step is the beginning or the end of a call that changes something (the store, Optuna's study, a server), or an SQL
statement that writes. Nothing in the tuner knows of it: the calls are wrapped from outside. What was committed is
written to a ledger of its own, fsynced, a line of JSON for each. With N = 0 nothing is killed, the steps are counted.
"""

import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event

from tuner.cli.main import main
from tuner.proposal.proposer import Proposal, Proposer
from tuner.server.launch import LaunchHandle
from tuner.server.process import EngineProcess
from tuner.store.writer import Store

WRAPPED: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Store, ("create_study", "update_spec", "begin_trial", "begin_launch", "launch_ready", "save_load_point")),
    (Store, ("end_launch", "finish_trial", "interrupt_running")),
    (Proposer, ("ask", "ask_fixed", "remember", "tell_measured", "tell_violated", "tell_failed")),
    (LaunchHandle, ("start", "stop")),
    (EngineProcess, ("spawn",)),
)
WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP")
TOLD = ("tell_measured", "tell_violated", "tell_failed")

Call = Callable[..., Any]


class Ledger:
    """What was committed, and where the process was killed; on disk when a method returns."""

    def __init__(self, path: str) -> None:
        """Append to a file."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, **entry: object) -> None:
        """Add an entry."""
        os.write(self._file, json.dumps(entry).encode() + b"\n")
        os.fsync(self._file)


class Steps:
    """Counts steps, and kills the process at the one that was asked for."""

    def __init__(self, ledger: Ledger, fatal: int) -> None:
        """Take the number of the fatal step, 0 for none."""
        self._ledger, self._fatal = ledger, fatal
        self.count = 0

    def take(self, name: str) -> None:
        """Take one step."""
        self.count += 1
        if self.count == self._fatal:
            self._ledger.note(killed=name, step=self.count)
            os.kill(os.getpid(), signal.SIGKILL)


def wrap(owner: type, name: str, steps: Steps, ledger: Ledger) -> None:
    """Put a step before and one after a method, whether it is awaited or not."""
    inner: Any = owner.__dict__[name]
    is_class_method = isinstance(inner, classmethod)
    function: Call = getattr(inner, "__func__", inner)
    label = f"{owner.__name__}.{name}"

    def ended(arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        if name == "finish_trial":
            ledger.note(trial=arguments[1], state=arguments[2], values=options.get("values") or {})
        if name in TOLD:
            proposal: Proposal = arguments[1]
            ledger.note(told=proposal.trial_id)
        steps.take(f"{label} done")

    @functools.wraps(function)
    async def awaited(*arguments: Any, **options: Any) -> Any:
        steps.take(label)
        result = await function(*arguments, **options)
        ended(arguments, options)
        return result

    @functools.wraps(function)
    def called(*arguments: Any, **options: Any) -> Any:
        steps.take(label)
        result = function(*arguments, **options)
        ended(arguments, options)
        return result

    wrapped: Any = awaited if inspect.iscoroutinefunction(function) else called
    setattr(owner, name, classmethod(wrapped) if is_class_method else wrapped)


def watch_statements(steps: Steps) -> None:
    """Make every SQL statement that writes, and every commit, a step."""

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith(WRITES):
            steps.take("SQL " + " ".join(statement.split()[:3]))

    def commit(_connection: Connection) -> None:
        steps.take("SQL COMMIT")

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "commit", commit)


def run() -> None:
    """Run the command with its steps counted."""
    ledger = Ledger(sys.argv[1])
    steps = Steps(ledger, int(sys.argv[2]))
    for owner, names in WRAPPED:
        for name in names:
            wrap(owner, name, steps, ledger)
    watch_statements(steps)
    sys.argv = ["tuner", *sys.argv[3:]]
    # Whoever runs the tests in the background, or under nohup, has the tuner ignore these.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        main()
    finally:
        ledger.note(steps=steps.count)


run()
