"""Where the load generator stands in the line for a CPU."""

import os

import pytest

from tuner.load.priority import Claim, CpuSeconds, Moves, claimed, cpu_seconds


class Machine:
    """A clock, two CPUs of which a share is idle, and the moves that were made."""

    def __init__(self, idle: float) -> None:
        self.now = 100.0
        self.idle = idle
        self.moves: list[str] = []
        moves = Moves(lambda: self.moves.append("first"), lambda: self.moves.append("back"))
        self.claim = Claim(moves, lambda: self.now, self.cpus)

    def cpus(self) -> CpuSeconds:
        return CpuSeconds(2 * self.now * self.idle, 2 * self.now)

    def look(self, lag: float, times: int = 1) -> None:
        for _ in range(times):
            self.now += 0.02
            self.claim.heed(lag)


def test_it_goes_first_and_steps_back_after_a_second_where_cpus_are_idle():
    machine = Machine(idle=0.5)
    machine.look(0.0001, 40)
    assert machine.moves == ["first"]
    machine.look(0.0001, 400)
    assert machine.moves == ["first", "back"]


def test_it_stays_first_where_the_cpus_are_busy():
    machine = Machine(idle=0.1)
    machine.look(0.0001, 400)
    assert machine.moves == ["first"]


@pytest.mark.parametrize(("lag", "times"), [(0.03, 1), (0.002, 10)])
def test_a_long_wait_or_many_short_ones_bring_it_back_for_good(lag: float, times: int):
    machine = Machine(idle=0.5)
    machine.look(0.0001, 60)
    machine.look(lag, times)
    assert machine.moves == ["first", "back", "first"]
    machine.look(0.0001, 400)
    machine.look(0.05, 10)
    assert machine.moves == ["first", "back", "first"]


def test_a_hiccup_does_not():
    machine = Machine(idle=0.5)
    machine.look(0.0001, 60)
    for _ in range(20):
        machine.look(0.004)
        machine.look(0.0001, 50)
    assert machine.moves == ["first", "back"]


def test_the_process_stands_where_it_stood_afterwards():
    before = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    with claimed(lambda: 0.0):
        pass
    assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == before


def test_the_cpus_are_never_idle_for_longer_than_they_ran():
    found = cpu_seconds()
    assert 0 <= found.idle <= found.all
