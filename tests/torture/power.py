"""Power loss: what a disk may hold when the power goes at any moment of a writer's life, and which trials are in it.

strace writes down what the writer asked of the kernel. A disk keeps what was synced; of what was not, each write, and
each name made or removed in order, may be there or not. A trial counts as promised once the writer's own ledger, which
is synced after the commit, tells of it.
"""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.workbench import ROOT
from tests.torture import aftermath
from tests.torture.report import Row

WRITER = ROOT / "tests" / "fakes" / "store_writer.py"
_TRACED = "openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat"
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)(?:<([^>]*)>)?", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"^\d+<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call on one file."""

    name: str
    path: str
    life: int = 0
    """Which file of this name: each creation makes another one."""
    data: bytes = b""
    number: int = 0
    """Offset of a write, length of a truncation."""


@dataclass(slots=True)
class Disk:
    """A directory as the disk may hold it."""

    files: dict[tuple[str, int], bytes] = field(default_factory=dict[tuple[str, int], bytes])
    names: dict[str, int] = field(default_factory=dict[str, int])
    """Which file a name stands for."""

    def apply(self, call: Call) -> None:
        """Let a call reach the disk."""
        file = call.path, call.life
        content = self.files.get(file, b"")
        match call.name:
            case "write" | "pwrite64":
                end = call.number + len(call.data)
                content = content.ljust(call.number, b"\0")
                self.files[file] = content[: call.number] + call.data + content[end:]
            case "ftruncate":
                self.files[file] = content[: call.number].ljust(call.number, b"\0")
            case "create":
                self.names[call.path] = call.life
            case _:
                self.names.pop(call.path, None)


def lost_power(directory: Path, count: int, *, trials: int = 3, seed: int = 0) -> Row:
    """Cut the power at `count` random moments of a writer's life, and look at what the disk may hold."""
    row = Row("–", "power loss: un-synced writes dropped at random")
    if shutil.which("strace") is None:
        row.notes = "left out: strace is not there"
        return row
    calls, promises = trace(directory, trials)
    draw = random.Random(seed)  # noqa: S311  # no secret
    for number in range(count):
        moment = draw.randrange(1, len(calls) + 1)
        disk = surviving(calls[:moment], draw)
        place = directory / f"disk-{number:04d}"
        row.add(_checked(disk, place, [trial for at, trial in promises if at < moment]))
        shutil.rmtree(place)
    row.notes = f"{len(calls)} calls, {len(promises)} trials promised"
    return row


def trace(directory: Path, trials: int) -> tuple[list[Call], list[tuple[int, int]]]:
    """Run the writer under strace; return its calls on the result file, and (position, trial) of every promise."""
    directory.mkdir(parents=True, exist_ok=True)
    log, ledger, database = directory / "trace", directory / "ledger", directory / "results.db"
    strace = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={_TRACED}", "-o", str(log)]
    command = [*strace, sys.executable, str(WRITER), str(database), str(ledger)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        while process.poll() is None and (not ledger.exists() or len(ledger.read_text().splitlines()) < trials):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    calls: list[Call] = []
    promises: list[tuple[int, int]] = []
    for call in _calls(log.read_text(errors="replace"), str(directory)):
        if call.path == str(ledger):
            promises += [(len(calls), int(call.data))] if call.data.strip() else []
        else:
            calls.append(call)
    return calls, promises


def surviving(calls: Sequence[Call], draw: random.Random) -> Disk:
    """Return what may be on the disk after these calls, some of which were never synced."""
    disk = Disk()
    pending: list[Call] = []
    for call in calls:
        match call.name:
            case "fsync" | "fdatasync":
                is_directory = any(str(Path(each.path).parent) == call.path for each in pending)
                synced = [each for each in pending if _reached(each, call.path, is_directory=is_directory)]
                pending = [each for each in pending if each not in synced]
                for each in synced:
                    disk.apply(each)
            case _:
                pending.append(call)
    names = [call for call in pending if call.name in _NAMING]
    kept = names[: draw.randint(0, len(names))]
    for call in pending:
        if call in kept or (call.name not in _NAMING and draw.random() < 0.5):  # a coin
            disk.apply(call)
    return disk


_NAMING = frozenset({"create", "unlink", "unlinkat"})


def _reached(call: Call, synced: str, *, is_directory: bool) -> bool:
    """Return whether a sync of a file, or of the directory that names it, brings a call to the disk."""
    return call.name in _NAMING if is_directory else call.path == synced and call.name not in _NAMING


def _calls(text: str, directory: str) -> Iterator[Call]:
    """Yield the calls that succeeded on files of a directory, and on the directory itself."""
    lives = Counter[str]()
    alive: set[str] = set()
    ends: dict[tuple[str, int], int] = {}
    for line in text.splitlines():
        match = _CALL.match(line)
        if match is None or match[3].startswith("-"):
            continue
        name, arguments, _, opened = match.groups()
        strings = [bytes.fromhex(each.replace("\\x", "")) for each in _STRING.findall(arguments)]
        path = _path(name, arguments, opened, strings)
        if not path.startswith(directory):
            continue
        if name == "openat":
            if "O_CREAT" in arguments and path not in alive:
                alive.add(path)
                lives[path] += 1
                yield Call("create", path, lives[path])
            continue
        if name.startswith("unlink"):
            alive.discard(path)
        file = path, lives[path]
        at = ends.get(file, 0) if name == "write" else _last_number(arguments)
        data = strings[0] if strings and "write" in name else b""
        if name == "write":
            ends[file] = at + len(data)
        yield Call(name, *file, data, at)


def _path(name: str, arguments: str, opened: str | None, strings: Sequence[bytes]) -> str:
    """Return the path that a call is about: the opened one, that of its descriptor, or the one it names."""
    if name == "openat":
        return _plain(opened or "")
    file = _FILE.match(arguments)
    return _plain(file[1]) if file else strings[0].decode() if strings else ""


def _last_number(arguments: str) -> int:
    last = arguments.rpartition(", ")[2]
    return int(last, 0) if last.isdigit() else 0


def _plain(path: str) -> str:
    """Return a path that strace may have written in hexadecimal, without its note that the file is gone."""
    escaped = re.fullmatch(r"(?:\\x[0-9a-f]{2})+", path)
    plain = bytes.fromhex(path.replace("\\x", "")).decode() if escaped else path
    return plain.removesuffix(" (deleted)")


def _checked(disk: Disk, place: Path, promised: Sequence[int]) -> Iterator[str]:
    place.mkdir()
    for path, life in disk.names.items():
        (place / Path(path).name).write_bytes(disk.files.get((path, life), b""))
    database = place / "results.db"
    if not promised:
        return
    if not database.exists():
        yield f"lost: no result file, and {len(promised)} trials were promised"
        return
    with closing(sqlite3.connect(database)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            yield "integrity: integrity_check is not ok"
            return
    measured = {trial.number for trial in aftermath.stored(database, "night") if trial.state == "measured"}
    if not set(promised) <= measured:
        yield f"lost: {sorted(set(promised) - measured)} of {list(promised)}"
