"""Rows 1, 2 and 19: the tuner killed at any time, at every step, or ended by a signal; `tuner resume` goes on."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.fakes.workbench import FAKE_VLLM
from tests.torture import aftermath
from tests.torture.bed import NAME, Bed
from tests.torture.report import Row

LONGEST_LIFE_S = 12.0
"""A tuner that is killed at random lives up to so long: the start of the study and more than one trial."""
LONGEST_REAL_LIFE_S = 90.0
"""The same on a real engine: it starts in half a minute, and is measured in another one."""
SIGNALLED = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
QUICK_TO_GO_S = 20.0


def at_random(directory: Path, count: int, seed: int = 0) -> Row:
    """Kill the tuner `count` times at random moments of one study, which goes on after each."""
    row = Row("1", "SIGKILL of the tuner at a random time")
    bed = Bed(directory)
    study = bed.study(trials=10_000)
    draw = random.Random(seed)  # noqa: S311  # no secret
    for _ in range(count):
        seconds, held = bed.kill_after(draw.uniform(0.1, LONGEST_LIFE_S), "run", study)
        row.add(_after_a_kill(bed, seconds, held), cleanup_s=seconds)
    code, said = bed.run("run", bed.study(trials=_counted(bed) + 2))
    row.violations += _went_on(bed, code, said)
    row.notes = _states(bed)
    return row


def the_quickstart(directory: Path, count: int, *, vllm_python: Path, seed: int = 0) -> Row:
    """Kill the tuner at random moments of the quickstart's study of a real engine, then let it end by itself."""
    row = Row("1", "SIGKILL of the tuner at a random time of the quickstart's study, a real vLLM")
    bed = Bed(directory, vllm_python=vllm_python)
    study = bed.quickstart(trials=10_000)
    draw = random.Random(seed)  # noqa: S311  # no secret
    for _ in range(count):
        seconds, held = bed.kill_after(draw.uniform(0.1, LONGEST_REAL_LIFE_S), "run", study)
        row.add(_after_a_kill(bed, seconds, held), cleanup_s=seconds)
    code, said = bed.run("run", bed.quickstart(trials=_counted(bed) + 1))
    row.violations += _went_on(bed, code, said)
    row.notes = _states(bed)
    return row


def _counted(bed: Bed) -> int:
    """Return how many of a study's trials used up its budget."""
    return sum(trial.state.is_counted for trial in aftermath.stored(bed.database, NAME))


def _states(bed: Bed) -> str:
    states = Counter(str(trial.state) for trial in aftermath.stored(bed.database, NAME))
    return ", ".join(f"{number} {state}" for state, number in states.items())


def at_every_step(directory: Path, *, first: int = 1, stride: int = 1, at_most: int | None = None) -> Row:
    """Kill the tuner at its n-th step for n = `first`, `first + stride`, … until it gets through, and resume.

    Args:
        directory: each n has a directory of its own below it.
        first: the first n.
        stride: the distance between two n: 1 is every step.
        at_most: how many n, where not all are wanted.
    """
    row = Row("2", "SIGKILL at the n-th step (call or SQL statement), then resume")
    names = Counter[str]()
    step, killed = first, True
    while killed and row.runs != at_most:
        bed = Bed(directory / f"step-{step:04d}")
        running = bed.start("run", bed.study(trials=2), fatal_step=step)
        killed = running.wait() == -signal.SIGKILL
        if killed:
            names.update(
                entry["killed"].split(" done")[0] for entry in aftermath.entries(bed.ledger) if "killed" in entry
            )
            seconds = bed.cleanup_seconds()
            row.add(_after_a_kill(bed, seconds), cleanup_s=seconds)
            row.violations += (f"{line} (step {step})" for line in _resumed(bed))
        step += stride
    row.notes = f"{row.runs} steps, {len(names)} of different names"
    return row


def at_steps(directory: Path, count: int) -> Row:
    """Kill the tuner at `count` steps spread over a whole study, each in a run of its own; 0 is every step."""
    if count == 0:
        return at_every_step(directory)
    bed = Bed(directory / "whole")
    bed.run("run", bed.study(trials=2))
    steps = max((entry["steps"] for entry in aftermath.entries(bed.ledger) if "steps" in entry), default=count)
    row = at_every_step(directory, stride=max(steps // count, 1), at_most=count)
    row.notes = f"{row.notes}, of {steps} steps"
    return row


def by_signals(directory: Path, count: int, *, vllm_python: Path = FAKE_VLLM) -> Row:
    """End the tuner with each signal that people and systems send, in every phase of a trial."""
    row = Row("19", f"Ctrl-C, SIGTERM, terminal hang-up{', a real vLLM' if vllm_python != FAKE_VLLM else ''}")
    phases = ("study night: ", "trial 0: start-up", "trial 0: warm-up", "trial 0: load point", "trial 0: stop")
    for number in range(count):
        bed = Bed(directory / f"signal-{number:03d}", vllm_python=vllm_python)
        name = list(SIGNALLED)[number % len(SIGNALLED)]
        running = bed.start("run", bed.study())
        running.wait_for(phases[number % len(phases)])
        held = aftermath.held(bed.directory)
        began = time.monotonic()
        running.signal(name)
        code = running.wait()
        seconds = time.monotonic() - began
        said = running.lines[-1] if running.lines else ""
        row.add(_after_a_signal(bed, name, code, said, seconds, held), cleanup_s=seconds)
    return row


def _after_a_signal(
    bed: Bed, name: signal.Signals, code: int, said: str, seconds: float, held: aftermath.Held
) -> Iterator[str]:
    if code != SIGNALLED[name]:
        yield f"code: {name.name} gave {code}: {said}"
    if "tuner resume" not in said:
        yield f"silence: it did not say how to go on: {said}"
    if seconds > QUICK_TO_GO_S:
        yield f"slow: {seconds:.1f} s"
    yield from _after_a_kill(bed, 0.0, held)


def _after_a_kill(bed: Bed, seconds: float, held: aftermath.Held | None = None) -> Iterator[str]:
    if seconds > aftermath.GONE_WITHIN_S:
        yield f"slow: the last process went after {seconds:.1f} s"
    yield from aftermath.leftovers(bed.directory, held)
    yield from aftermath.damage(bed.database, NAME)
    if bed.database.exists() and bed.database.stat().st_size:
        yield from _unkept(bed)


def _unkept(bed: Bed) -> Iterator[str]:
    if any("trial" in entry for entry in aftermath.entries(bed.ledger)):
        yield from aftermath.unkept(bed.database, NAME, bed.ledger)


def _resumed(bed: Bed) -> Iterator[str]:
    """Go on as a person would: with `resume`, or with `run` where the study was not stored yet."""
    code, said = bed.run("resume", NAME)
    if code == 2:  # the study's name is not known yet
        code, said = bed.run("run", bed.study(trials=2))
    yield from _went_on(bed, code, said)


def _went_on(bed: Bed, code: int, said: str) -> Iterator[str]:
    if code != 0 or "Traceback" in said:
        yield f"resume: it ended with {code}: {said[-300:]}"
        return
    yield from _after_a_kill(bed, bed.cleanup_seconds())
    yield from aftermath.unfinished(bed.database, NAME)
