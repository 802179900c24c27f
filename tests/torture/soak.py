"""Row 20: a night of trials, a fifth of whose launches are faulty; what the tuner holds must not grow."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.torture import aftermath
from tests.torture.bed import NAME, Bed
from tests.torture.report import Row

FAULTY_PERCENT = 20
MOST_GROWTH_MIB = 50.0
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the kernel's own place
_POOL = min(32, (os.cpu_count() or 1) + 4)
"""Threads that the event loop's pool comes to hold, one by one, however long it lives."""
_STEADY_AFTER = 3
"""Samples left out at the beginning: imports, the first trial."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the tuner held when a trial ended."""

    trial: int
    seconds: float
    rss_mib: float
    fds: int
    threads: int
    processes: int
    zombies: int
    shm: int

    @property
    def counts(self) -> tuple[int, ...]:
        """What must be the same at the end of every trial."""
        return self.fds, self.threads, self.processes, self.zombies, self.shm


def soak(directory: Path, count: int) -> tuple[Row, list[Sample]]:
    """Run a study of `count` trials and sample the tuner after each."""
    row = Row("20", f"soak: {FAULTY_PERCENT} % of launches faulty", runs=count)
    bed = Bed(directory)
    ranges = {"max-num-seqs": (1, 64), "max-num-batched-tokens": (64, 100_000)}
    space = {"parameters": {name: {"type": "int", "low": low, "high": high} for name, (low, high) in ranges.items()}}
    study = bed.study(mode=f"lottery:{FAULTY_PERCENT}", trials=count, search_space=space)
    own_shm = {path.name for path in _SHARED_MEMORY.iterdir()}
    running = bed.start("run", study)
    samples: list[Sample] = []
    began = time.monotonic()
    with suppress(AssertionError):  # it ended
        while running.wait_for(": stop"):
            running.wait_for("trial ")
            samples.append(_sample(running.process.pid, len(samples), time.monotonic() - began, bed, own_shm))
    code = running.wait()
    row.violations += [] if code == 0 else [f"code: {code}: {running.lines[-3:]}"]
    row.add([*_growth(samples), *aftermath.leftovers(bed.directory), *aftermath.damage(bed.database, NAME)])
    row.runs = len(samples)
    row.violations += aftermath.unfinished(bed.database, NAME)
    row.violations += aftermath.unkept(bed.database, NAME, bed.ledger)
    row.slowest_s = bed.cleanup_seconds()
    row.notes = _states(bed)
    return row, samples


def _sample(pid: int, trial: int, seconds: float, bed: Bed, own_shm: set[str]) -> Sample:
    process = psutil.Process(pid)
    children = process.children(recursive=True)
    zombies = 0
    for child in children:
        with suppress(psutil.NoSuchProcess):
            zombies += child.status() == psutil.STATUS_ZOMBIE
    logs = "".join(log.read_text(errors="replace") for log in bed.directory.glob(".tuner/logs/**/*.log"))
    shm = sum(name in logs for name in {path.name for path in _SHARED_MEMORY.iterdir()} - own_shm)
    return Sample(
        trial, seconds, process.memory_info().rss / 2**20, process.num_fds(), process.num_threads(), len(children),
        zombies, shm,
    )  # fmt: skip


def _growth(samples: Sequence[Sample]) -> list[str]:
    """Compare the last fifth with the first fifth, the very beginning left out: medians hide a passing launch."""
    steady = samples[_STEADY_AFTER:]
    fifth = max(len(steady) // 5, 1)
    if not steady:
        return ["short: too few trials to tell"]
    first, last = steady[:fifth], steady[-fifth:]
    found: list[str] = []
    grown = _median([one.rss_mib for one in last]) - _median([one.rss_mib for one in first])
    if grown > MOST_GROWTH_MIB:
        found.append(f"RSS: {grown:+.1f} MiB")
    for name, allowed in (("fds", 0), ("threads", _POOL), ("processes", 0), ("zombies", 0), ("shm", 0)):
        before, after = (_median([float(getattr(one, name)) for one in part]) for part in (first, last))
        if after > before + allowed:
            found.append(f"{name}: {before:g} to {after:g}")
    return found


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def curve(samples: Sequence[Sample], lines: int = 20) -> str:
    """Return the samples as a table of so many lines."""
    head = "| trial | seconds | RSS MiB | fds | threads | processes | zombies | shm |\n|" + " --- |" * 8
    step = max(len(samples) // lines, 1)
    rows = [
        f"| {one.trial} | {one.seconds:.0f} | {one.rss_mib:.1f} | {' | '.join(map(str, one.counts))} |"
        for one in [*samples[::step], *samples[-1:]]
    ]
    return "\n".join([head, *rows])


def _states(bed: Bed) -> str:
    trials = aftermath.stored(bed.database, NAME)
    kinds = Counter(str(trial.failure.kind) if trial.failure else str(trial.state) for trial in trials)
    return ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
