"""Rows 10 to 13 and 21, and what the disk and the clock can do: foreign servers, full disks, locks, other versions."""

import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.fakes.workbench import ROOT
from tests.torture import aftermath
from tests.torture.bed import NAME, Bed
from tests.torture.report import Row

INPUT, SURROUNDINGS = 2, 3
_NO_LIMIT = {"TUNER_MIN_FREE_MIB": "0"}
"""Otherwise the tuner stops before a trial that would not fit."""
_FULL = re.compile(r"disk is full|[Nn]o space left")
CLOCK_TUNER = ROOT / "tests" / "fakes" / "clock_tuner.py"


class _Foreign(BaseHTTPRequestHandler):
    """Answers 200 to everything, and serves a model of its own."""

    def do_GET(self) -> None:  # the library's name
        body = json.dumps({"object": "list", "data": [{"id": "somebody-elses", "object": "model"}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  # the library's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


def foreign_server(directory: Path, count: int) -> Row:
    """Have a stranger listen on the launch's port while the engine starts: it must never be measured."""
    row = Row("10", "a foreign server answering 200 takes the port while vLLM starts")
    attempts = Counter[int]()
    for number in range(count):
        bed = Bed(directory / f"{number:03d}")
        running = bed.start("run", bed.study(mode="slow_start:2", trials=1))
        running.wait_for("trial 0: start-up")
        with _listening(_port_of_the_launch(bed)):
            running.wait_for("trial 0: start-up")  # of the next launch
            code = running.wait()
        (trial,) = aftermath.stored(bed.database, NAME)
        kinds = [launch.failure.kind for launch in trial.launches if launch.failure is not None]
        attempts[len(trial.launches)] += 1
        found = [] if kinds and set(kinds) == {"port_in_use"} and code == 0 else [f"kind: {kinds}, exit code {code}"]
        row.add([*found, *aftermath.leftovers(bed.directory)], cleanup_s=bed.cleanup_seconds())
    row.notes = ", ".join(f"{number} trials of {launches} launches" for launches, number in attempts.items())
    return row


def _port_of_the_launch(bed: Bed) -> int:
    ends = time.monotonic() + 30
    while not (found := aftermath.ports(bed.directory)) and time.monotonic() < ends:
        time.sleep(0.01)
    return found.pop()


@contextmanager
def _listening(port: int) -> Generator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Foreign)  # it sets SO_REUSEADDR, as the reservation does
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def full_disk(directory: Path, kib: tuple[int, ...]) -> Row:
    """Run on a disk of so many KiB until it is full, then go on elsewhere with what it holds.

    The disk is a tmpfs in a mount namespace of the tuner's own.
    """
    row = Row("11", "disk full: a tmpfs")
    for size in kib:
        bed = Bed(directory / f"{size}k")
        disk, copy = bed.directory / "disk", bed.directory / "copy"
        disk.mkdir()
        study = bed.study(trials=40)
        script = (
            f'mount -t tmpfs -o size={size}k tmpfs {disk} && "$@"; code=$?; mkdir {copy}; '
            f"cp {disk}/results.db* {copy}/ 2>/dev/null; exit $code"
        )
        prefix = ["unshare", "-rm", "sh", "-c", script, "sh"]
        code, said = bed.run("run", study, "--db", disk / "results.db", prefix=prefix, env=_NO_LIMIT)
        found = [] if code == SURROUNDINGS and _FULL.search(said) else [f"code: {code}: {said[-300:]}"]
        row.add([*found, *_usable(bed, copy / "results.db")], cleanup_s=bed.cleanup_seconds())
    return row


def _usable(bed: Bed, database: Path) -> Iterator[str]:
    """Yield what is wrong with the result file of a full disk, copied to one with space."""
    yield from aftermath.leftovers(bed.directory)
    if not database.exists():
        return
    yield from aftermath.damage(database, NAME)
    known = bool(aftermath.entries(bed.ledger)) and any("trial" in entry for entry in aftermath.entries(bed.ledger))
    if known:
        yield from aftermath.unkept(database, NAME, bed.ledger)
    done = sum(trial.state == "measured" for trial in aftermath.stored(database, NAME)) if known else 0
    code, said = bed.run("run", bed.study(trials=done + 1), "--db", database)
    if code != 0:
        yield f"resume: {code}: {said[-300:]}"


def locked(directory: Path, count: int, seconds: float) -> Row:
    """Hold the result file's lock for so long while the tuner wants to write."""
    row = Row("12", f"result file locked by another process for {seconds:g} s")
    for number in range(count):
        bed = Bed(directory / f"{number:03d}")
        running = bed.start("run", bed.study(trials=1))
        running.wait_for("trial 0: load point 1")
        with closing(sqlite3.connect(bed.database, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            other.execute("ROLLBACK")
        code = running.wait()
        found = [] if code == 0 else [f"code: {code}: {running.lines[-2:]}"]
        found += aftermath.unkept(bed.database, NAME, bed.ledger)
        row.add([*found, *aftermath.unfinished(bed.database, NAME), *aftermath.leftovers(bed.directory)])
    return row


def two_tuners(directory: Path, count: int) -> Row:
    """Start two tuners on one study at once: one runs, the other one names it."""
    row = Row("13", "two tuners on one study at once")
    for number in range(count):
        bed = Bed(directory / f"{number:03d}")
        study = bed.study(trials=1)
        both = [bed.start("run", study), bed.start("run", study)]
        codes = [one.wait() for one in both]
        found = [] if sorted(codes) == [0, SURROUNDINGS] else [f"code: {codes}"]
        if not found:
            refused, ran = both[codes.index(SURROUNDINGS)], both[codes.index(0)]
            if f"process {ran.process.pid}" not in "".join(refused.lines):
                found.append(f"silence: the second one said {refused.lines}")
        row.add([*found, *aftermath.unfinished(bed.database, NAME), *aftermath.leftovers(bed.directory)])
    return row


def other_versions(directory: Path, count: int) -> Row:
    """Go on with a study on another engine version, another space, another model: refused with the difference."""
    row = Row("21", "resume with a changed space, engine version or model")
    bed = Bed(directory)
    code, said = bed.run("run", bed.study(trials=1))
    row.violations += [] if code == 0 else [f"code: {code}: {said[-300:]}"]
    space = {"parameters": {"max-num-seqs": {"type": "int", "low": 1, "high": 99}}}
    for number in range(count):
        before = bed.database.read_bytes()
        match number % 3:
            case 0:
                code, said = bed.run("resume", NAME, env={"VLLM_FAKE_VERSION": "0.33.0"})
                expected = "vllm_version: 0.32.0+fake -> 0.33.0"
            case 1:
                config = bed.directory / "tiny" / "config.json"
                kept = config.read_text()
                config.write_text(json.dumps(json.loads(kept) | {"rope_theta": number}))
                code, said = bed.run("resume", NAME)
                config.write_text(kept)
                expected = "model_identity"
            case _:
                code, said = bed.run("run", bed.study(trials=1, search_space=space))
                expected = "search_space"
        found = [] if code == INPUT and expected in said else [f"code: {code}: {said[-300:]}"]
        found += [] if bed.database.read_bytes() == before else ["changed: the refused file was written to"]
        row.add(found)
    return row


def read_only(directory: Path) -> Row:
    """Run in a directory on a disk that can only be read, and where the log's directory can't be made."""
    row = Row("11", "read-only directory")
    bed = Bed(directory)
    study = bed.study(trials=1)
    (bed.directory / "disk").mkdir()
    script = f'mount -t tmpfs -o ro tmpfs {bed.directory / "disk"} && exec "$@"'
    prefix = ["unshare", "-rm", "sh", "-c", script, "sh"]
    code, said = bed.run("run", study, "--db", bed.directory / "disk" / "results.db", prefix=prefix)
    row.add([] if code == SURROUNDINGS and "Traceback" not in said else [f"code: {code}: {said[-300:]}"])
    (bed.directory / ".tuner").write_text("in the way")
    code, said = bed.run("run", study)
    row.add([] if code == SURROUNDINGS and ".tuner" in said else [f"code: {code}: {said[-300:]}"])
    return row


def jumping_clock(directory: Path, jumps: tuple[float, ...]) -> Row:
    """Have the wall clock jump by so many seconds in the middle of a trial; durations and budgets must not notice."""
    row = Row("–", "the wall clock jumps by " + ", ".join(f"{jump:+g} s" for jump in jumps))
    for jump in jumps:
        bed = Bed(directory / f"{jump:+g}")
        study = bed.study(trials=2, budget={"trials": 2, "hours": 1})
        command = [sys.executable, str(CLOCK_TUNER), str(jump), "run", str(study)]
        done = subprocess.run(
            command, cwd=bed.directory, env=bed.environment(), capture_output=True, text=True, check=False
        )
        found = [] if done.returncode == 0 else [f"code: {done.returncode}: {done.stderr[-300:]}"]
        row.add([*found, *_timed(bed, jump), *aftermath.leftovers(bed.directory)])
    return row


def _timed(bed: Bed, jump: float) -> Iterator[str]:
    trials = aftermath.stored(bed.database, NAME)
    if sum(trial.state == "measured" for trial in trials) != 2:  # the budget
        yield f"budget: {[str(trial.state) for trial in trials]} with the clock at {jump:+g} s"
    for trial in trials:
        longest = 60.0
        durations = [point.duration for point in trial.load_points]
        durations += [launch.ready_after or 0.0 for launch in trial.launches]
        if not all(0 <= duration < longest for duration in durations):
            yield f"duration: {durations}"
