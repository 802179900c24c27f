"""Rows 3 to 7: parts of the engine killed or stopped in every phase; starts that hang; SIGTERM ignored."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path

from tests.fakes.workbench import FAKE_VLLM
from tests.torture import aftermath
from tests.torture.bed import NAME, Bed
from tests.torture.report import Row

API_SERVER, ENGINE_CORE, WORKER = "API server", "EngineCore", "Worker"
PARTS = (API_SERVER, ENGINE_CORE, WORKER)
PHASES = ("start-up", "warm-up", "load point 1")
FAULTS = tuple(product((signal.SIGKILL, signal.SIGSTOP), PARTS, PHASES))
STOPPED_BY_BREAKER = 4
_DEATHS = {"engine_dead", "oom_run", "oom_start", "unknown"}
_EXPECTED = {signal.SIGKILL: _DEATHS, signal.SIGSTOP: {"engine_hung", "start_timeout"}}
_LOADED = {"duration": "20s", "warmup_requests": 300, "min_requests": 20, "max_points": 1, "highest": 1, "lowest": 1}
_PATIENCE_S = 120.0
_TARGET_S = 20.0
"""From the fault, or from the end of the patience that notices it, until nothing runs: noticing, and ten seconds."""


def broken(
    directory: Path, count: int, *, signals: tuple[signal.Signals, ...] = (signal.SIGKILL, signal.SIGSTOP),
    vllm_python: Path = FAKE_VLLM, seed: int = 0,
) -> Row:  # fmt: skip
    """Break one part of one engine per run, all combinations in turn, at a random moment of the phase."""
    names = "/".join(name.name for name in signals)
    what = "of a real vLLM" if vllm_python != FAKE_VLLM else "of the fake"
    row = Row("3-6", f"{names} of API server, EngineCore, Worker at start, in warm-up, under load, {what}")
    draw = random.Random(seed)  # noqa: S311  # no secret
    faults = [fault for fault in FAULTS if fault[0] in signals]
    seen = Counter[str]()
    for number in range(count):
        name, part, phase = faults[number % len(faults)]
        bed = Bed(directory / f"{number:03d}-{name.name}-{part.split()[0]}-{phase.split()[0]}", vllm_python=vllm_python)
        seconds, held = one(bed, name, part, phase, draw.uniform(0.0, 1.0))
        found = [*violations(bed, name, held), *_too_slow(bed, name, phase, seconds)]
        row.add((f"{line} ({name.name} {part} {phase})" for line in found), cleanup_s=seconds)
        seen.update(kinds(bed))
    row.notes = ", ".join(f"{number} {kind}" for kind, number in seen.items())
    return row


def one(bed: Bed, name: signal.Signals, part: str, phase: str, delay_s: float) -> tuple[float, aftermath.Held]:
    """Break one part of one engine; return the seconds until nothing of the study ran any more, and what it held."""
    hang, start = _timeouts(bed)
    engine = {"hang_timeout": hang, "start_timeout": start}
    mode = "slow_start:3" if phase == "start-up" else "healthy"
    running = bed.start("run", bed.study(mode=mode, load=_LOADED | {"drain": "5s"}, engine=engine))
    running.wait_for(f"trial 0: {phase}")
    pid = _find(bed.directory, part)
    time.sleep(delay_s)
    held = aftermath.held(bed.directory)
    with suppress(ProcessLookupError):
        os.kill(pid, name)
    began = time.monotonic()
    running.wait()
    bed.cleanup_seconds()
    return time.monotonic() - began, held


def _timeouts(bed: Bed) -> tuple[float, float]:
    """Return the study's `hang_timeout` and `start_timeout`; the real engine keeps the former's default."""
    return (4.0, 8.0) if bed.is_fake else (60.0, 120.0)


def _too_slow(bed: Bed, name: signal.Signals, phase: str, seconds: float) -> Iterator[str]:
    """Yield a fault that was noticed and cleaned up later than the matrix allows."""
    hang, start = _timeouts(bed)
    deaf = 0.0 if name is signal.SIGKILL else start if phase == "start-up" else hang
    if seconds > deaf + _TARGET_S:
        yield f"slow: {seconds:.1f} s"


def _find(directory: Path, part: str) -> int:
    """Return the pid of a part of the one engine that runs in a directory, as soon as it is there."""
    ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends:
        for pid in aftermath.processes(directory):
            title = aftermath.title(pid)
            is_server = "--served-model-name" in title and "tuner.server" not in title
            if is_server if part == API_SERVER else title.startswith(f"VLLM::{part}"):
                return pid
        time.sleep(0.02)
    raise AssertionError(f"no {part} ever ran")


def violations(bed: Bed, name: signal.Signals, held: aftermath.Held | None = None) -> Iterator[str]:
    """Yield what is wrong after a part was broken by a signal."""
    trials = aftermath.stored(bed.database, NAME)
    for trial in trials:
        if trial.state == "measured":
            yield f"scored: trial {trial.number} has figures"
    if not kinds(bed) or not set(kinds(bed)) <= _EXPECTED[name]:
        yield f"kind: {kinds(bed)}"
    yield from aftermath.leftovers(bed.directory, held)
    yield from aftermath.damage(bed.database, NAME)
    yield from aftermath.unkept(bed.database, NAME, bed.ledger)


def kinds(bed: Bed) -> list[str]:
    """Return the kinds of failure of a study's trials."""
    return [str(trial.failure.kind) for trial in aftermath.stored(bed.database, NAME) if trial.failure is not None]


def stubborn(directory: Path, count: int) -> Row:
    """Stop servers that ignore SIGTERM, leave their children, or hang at their start."""
    row = Row("6-7", "SIGTERM ignored; children left; a start that hangs")
    for number in range(count):
        mode = ("ignores_sigterm", "detaches,leaves_orphans", "start_hang")[number % 3]
        bed = Bed(directory / f"{number:03d}-{mode}")
        engine = {"start_timeout": 2} if mode == "start_hang" else {}
        running = bed.start("run", bed.study(mode=mode, engine=engine, trials=1))
        running.wait_for("trial 0: stop")
        began = time.monotonic()
        code = running.wait()
        bed.cleanup_seconds()
        seconds = time.monotonic() - began
        found = [f"slow: {seconds:.1f} s"] if seconds > 20 else []  # the target
        if code != (STOPPED_BY_BREAKER if mode == "start_hang" else 0):
            found.append(f"code: {mode} gave {code}: {running.lines[-2:]}")
        row.add([*found, *aftermath.leftovers(bed.directory)], cleanup_s=seconds)
    return row
