"""What must hold after any fault: nothing of the study runs, listens, is mapped or locked; the result file is whole.

Processes are found by their working directory, which the engine's retitled children inherit too. A violation is a
line that begins with its kind.
"""

import fcntl
import json
import re
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil

from tuner.domain.trial import Trial, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader

GONE_WITHIN_S = 10.0
"""Seconds that anything of a study may outlive its tuner."""
_RECENT = 3
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the kernel's own place
_MAPPED = re.compile(r"shared memory (\S+)")
_SHARED = re.compile(r" (/dev/shm/\S+)$", re.MULTILINE)
"""A line of /proc/PID/maps; what was removed already ends with `(deleted)`."""


def processes(directory: Path) -> list[int]:
    """Return the live processes that work in a directory."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(directory):
                found.append(int(entry.name))
    return found


@dataclass(frozen=True, slots=True)
class Held:
    """What processes held that does not go with them by itself: shared memory, and ports somebody may still serve."""

    memory: frozenset[Path] = frozenset()
    ports: frozenset[int] = frozenset()


def held(directory: Path) -> Held:
    """Return what the processes that work in a directory map below /dev/shm, and the TCP ports they listen on."""
    memory: set[Path] = set()
    listening: set[int] = set()
    for pid in processes(directory):
        with suppress(OSError):
            memory |= {Path(path) for path in _SHARED.findall(Path(f"/proc/{pid}/maps").read_text())}
        with suppress(psutil.Error):
            connections = psutil.Process(pid).net_connections("tcp")
            listening |= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    return Held(frozenset(memory), frozenset(listening))


def seconds_until_gone(directory: Path, *, at_most: float = 4 * GONE_WITHIN_S) -> float:
    """Wait until no process works in a directory; return the seconds, `at_most` where some never went."""
    began = time.monotonic()
    while processes(directory) and time.monotonic() - began < at_most:
        time.sleep(0.02)
    return time.monotonic() - began


def leftovers(directory: Path, before: Held | None = None) -> Iterator[str]:
    """Yield what is left of a study that no process should work on any more, and of what it held before."""
    before = before or Held()
    for pid in processes(directory):
        yield f"orphans: {pid} {title(pid)[:80]}"
    for memory in sorted(before.memory | _logged_memory(directory)):
        with suppress(FileNotFoundError):
            yield f"shm: {memory.stat().st_size} bytes in {memory}"
    for port in sorted(before.ports | ports(directory)):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                yield f"ports: {port} listens"
    for lock in (*directory.glob(".tuner/*.lock"), *directory.glob("turns/*.lock")):
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield f"locks: {lock} is held"


def _logged_memory(directory: Path) -> set[Path]:
    """Return the shared memory that the fake engine's launches told of."""
    logs = directory.glob(".tuner/logs/**/*.log")
    return {_SHARED_MEMORY / name for log in logs for name in _MAPPED.findall(log.read_text(errors="replace"))}


def ports(directory: Path) -> set[int]:
    """Return the ports of the fake engine's last launches: older ones are the system's to give to others again."""
    launched = directory / "launched"
    lines = launched.read_text().splitlines() if launched.exists() else []
    words = [word for line in lines[-_RECENT:] for word in json.loads(line)]
    return {int(word.removeprefix("--port=")) for word in words if word.startswith("--port=")}


def damage(database: Path, study: str) -> Iterator[str]:
    """Yield what is wrong with a result file."""
    if not database.exists() or database.stat().st_size == 0:
        return
    with closing(sqlite3.connect(database)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            yield "integrity: integrity_check is not ok"
        if connection.execute("PRAGMA foreign_key_check").fetchall():
            yield "integrity: a row refers to none"
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        names: set[str] = set()
        if "studies" in tables:
            names = {name for (name,) in connection.execute("SELECT study_name FROM studies")}
    if study in names:
        optuna.load_study(study_name=study, storage=f"sqlite:///{database}").get_trials(deepcopy=False)


def stored(database: Path, study: str) -> tuple[Trial, ...]:
    """Return a study's trials; none where it is not there yet."""
    with open_reader(DatabaseLocation.parse(str(database))) as reader:
        found = reader.study(study)
        return reader.trials(found.id) if found else ()


def unkept(database: Path, study: str, ledger: Path) -> Iterator[str]:
    """Yield what a ledger of committed trials says and the result file does not."""
    trials = {trial.id: trial for trial in stored(database, study)}
    for entry in entries(ledger):
        if "trial" in entry:
            trial = trials.get(entry["trial"])
            if trial is None or (trial.state, trial.values) != (entry["state"], entry["values"]):
                yield f"lost: {entry} is {trial and (trial.state, trial.values)}"
    measured = [trial for trial in trials.values() if trial.state is TrialState.MEASURED]
    for print_of, count in Counter(trial.fingerprint for trial in measured).items():
        if count > 1:
            yield f"duplicated: {count} trials measured {print_of}"


def unfinished(database: Path, study: str) -> Iterator[str]:
    """Yield trials that are left open, or told to Optuna as something else, after a study that ended by itself."""
    told = optuna.load_study(study_name=study, storage=f"sqlite:///{database}").get_trials(deepcopy=False)
    trials = stored(database, study)
    numbers = {trial.number for trial in trials}
    for trial in trials:
        if trial.state is TrialState.RUNNING:
            yield f"stale: trial {trial.number} is still running"
        is_complete = told[trial.number].state is optuna.trial.TrialState.COMPLETE
        if trial.state is TrialState.MEASURED and (
            not is_complete or not set(told[trial.number].values) <= set(trial.values.values())
        ):
            yield f"untold: trial {trial.number} is measured, and Optuna holds {told[trial.number].values}"
    for trial in told:
        if not trial.state.is_finished():
            yield f"stale: Optuna's trial {trial.number} is {trial.state.name}"
        if trial.number not in numbers and trial.state is optuna.trial.TrialState.COMPLETE:
            yield f"unproved: Optuna's trial {trial.number} is complete without evidence"


def entries(ledger: Path) -> list[dict[str, Any]]:
    """Return a ledger's entries."""
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def title(pid: int) -> str:
    """Return a process's title, empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
