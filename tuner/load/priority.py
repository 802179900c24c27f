"""Owns the process's claim to a CPU during a load point: first in line if others stand in its way.

On a machine whose CPUs are all busy, as those of a CPU engine are, a process waits for tens of milliseconds to read
what has arrived, at any nice value; with a real-time priority it does not. Where CPUs are idle it only costs: the
server is interrupted for every single event, and each event wakes the client by itself.

So a load point begins first in line. If the CPUs were idle for a good part of its first second, the process steps back,
and goes first again, for good, once its event loop is held up time and again.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

import psutil

from tuner.load.pacing import Clock

_LOWEST_REAL_TIME = 1
_TRIAL_S = 1.0
_IDLE_SHARE = 0.25
_TOO_LATE = 0.001
"""Seconds that the event loop may be late, on a running average."""
_NEWS = 0.1
"""Share of the newest in that average: one late by 10 ms is enough, a millisecond or two must come often."""


class CpuSeconds(NamedTuple):
    """What all CPUs of the machine did since it started."""

    idle: float
    all: float


def cpu_seconds() -> CpuSeconds:
    """Return what the machine's CPUs did so far."""
    times = psutil.cpu_times()
    return CpuSeconds(times.idle + times.iowait, sum(times))


def go_first() -> None:
    """Take on a real-time priority, where the system allows it (root, CAP_SYS_NICE)."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_LOWEST_REAL_TIME))


@dataclass(frozen=True, slots=True)
class Moves:
    """How to change the process's place."""

    go_first: Callable[[], None]
    step_back: Callable[[], None]


class _Place(Enum):
    ON_TRIAL = auto()
    BACK = auto()
    FIRST = auto()


class Claim:
    """The decision where to stand, taken anew whenever the event loop's lag was measured."""

    def __init__(self, moves: Moves, clock: Clock, cpus: Callable[[], CpuSeconds] = cpu_seconds) -> None:
        """Go first, until it is known whether there is need to."""
        self._moves = moves
        self._clock = clock
        self._cpus = cpus
        self._lately = 0.0
        self._place = _Place.ON_TRIAL
        self._began, self._cpus_then = clock(), cpus()
        moves.go_first()

    def heed(self, lag: float) -> None:
        """Take in by how many seconds the event loop was late this time."""
        if self._place is _Place.BACK:
            self._lately += (lag - self._lately) * _NEWS
            if self._lately > _TOO_LATE:
                self._place = _Place.FIRST
                self._moves.go_first()
        elif self._place is _Place.ON_TRIAL and self._clock() - self._began >= _TRIAL_S:
            self._end_trial()

    def _end_trial(self) -> None:
        then, now = self._cpus_then, self._cpus()
        if now.idle - then.idle >= _IDLE_SHARE * (now.all - then.all):
            self._place = _Place.BACK
            self._moves.step_back()
        else:
            self._place = _Place.FIRST


@contextmanager
def claimed(clock: Clock) -> Generator[Claim]:
    """Claim a CPU for this process; it stands where it stood before afterwards."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)

    def step_back() -> None:
        with suppress(PermissionError):
            os.sched_setscheduler(0, *before)

    try:
        yield Claim(Moves(go_first, step_back), clock)
    finally:
        step_back()
