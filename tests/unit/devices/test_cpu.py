"""A CPU as a device."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tuner.devices.cpu import Machine, copy_rate, local_cpu, matrix_rate


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with two memory nodes and no container's limit."""
    for number, kilobytes in enumerate((97_421_888, 99_000_000)):
        node = tmp_path / f"node{number}"
        node.mkdir()
        (node / "meminfo").write_text(f"Node {number} MemTotal:       {kilobytes} kB\nNode {number} MemFree: 5 kB\n")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t: fpu\n")
    return Machine(nodes=tmp_path, cgroup=tmp_path / "memory.max", cpuinfo=tmp_path / "cpuinfo")


def ticking(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def test_memory_is_that_of_the_first_node(machine: Machine):
    found = local_cpu(machine)
    assert (found.name, found.vendor, found.title) == ("cpu", "cpu", "AMD EPYC 9654")
    assert found.memory_bytes == 97_421_888 * 1024
    assert found.sources == ("measured here",)


def test_a_containers_limit_counts_where_it_is_lower(machine: Machine):
    machine.cgroup.write_text("4294967296\n")
    assert local_cpu(machine).memory_bytes == 4 * 2**30
    machine.cgroup.write_text("max\n")
    assert local_cpu(machine).memory_bytes == 97_421_888 * 1024


def test_a_machine_that_tells_nothing_has_its_memory_and_a_name(tmp_path: Path):
    nothing = tmp_path / "none"
    found = local_cpu(Machine(nodes=nothing, cgroup=nothing, cpuinfo=nothing))
    assert found.memory_bytes == psutil.virtual_memory().total
    assert found.title


def test_rates_are_amounts_over_the_clocks_time():
    clock = ticking(0.5)
    assert copy_rate(lambda: next(clock)) == 2 * 64 * 2**20 / 0.5
    assert matrix_rate(lambda: next(clock)) == 2 * 1024**3 / 0.5
