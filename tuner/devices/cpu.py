"""This machine's CPU as a device: the memory that vLLM would see, and two short measurements of its speed.

Takes about half a second when it is asked, and remembers nothing. Claims no more than it measured: copies
through memory on every CPU, and single-precision matrix products.
"""

import os
import platform
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

from tuner.domain.device import Device

_COPIED = 64 * 2**20
"""Bytes: more than the caches of most CPUs hold."""
_SIDE = 1024
"""Of the matrices: a product takes about 20 ms at 100 GFLOP/s."""
_REPEATS = 3

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Machine:
    """Files that tell of a machine's CPU and memory; a test writes its own."""

    nodes: Path = Path("/sys/devices/system/node")
    cgroup: Path = Path("/sys/fs/cgroup/memory.max")
    cpuinfo: Path = Path("/proc/cpuinfo")


def local_cpu(machine: Machine | None = None, *, clock: Clock = time.perf_counter) -> Device:
    """Return this machine's CPU, measured now."""
    machine = machine or Machine()
    return Device(
        name="cpu",
        title=_title(_text(machine.cpuinfo)) or platform.machine() or "CPU",
        vendor="cpu",
        memory_bytes=_memory(machine),
        bandwidth=copy_rate(clock),
        bf16_flops=matrix_rate(clock),
        sources=("measured here",),
        note="The compute rate is that of single-precision matrix products; vLLM's own kernels differ from it.",
    )


def copy_rate(clock: Clock) -> float:
    """Return bytes per second that all CPUs together read and write when they copy: the best of three times."""
    count = os.cpu_count() or 1
    source = np.ones(_COPIED, np.uint8)
    target = np.zeros_like(source)  # written once, so that no page is missing while it is timed
    edges = np.linspace(0, _COPIED, count + 1, dtype=np.int64).tolist()

    def copy(part: tuple[int, int]) -> None:
        target[slice(*part)] = source[slice(*part)]

    with ThreadPoolExecutor(count) as pool:
        return 2 * _COPIED / _fastest(lambda: _all(pool.map(copy, pairwise(edges))), clock)


def matrix_rate(clock: Clock) -> float:
    """Return operations per second of a product of single-precision matrices: the best of three times."""
    matrix = np.ones((_SIDE, _SIDE), np.float32)
    return 2 * _SIDE**3 / _fastest(lambda: matrix @ matrix, clock)


def _fastest(work: Callable[[], object], clock: Clock) -> float:
    seconds: list[float] = []
    for _ in range(_REPEATS):
        began = clock()
        work()
        seconds.append(clock() - began)
    return min(seconds)


def _all(done: Iterable[object]) -> None:
    for _ in done:
        pass


def _memory(machine: Machine) -> int:
    """Return bytes as vLLM's CPU worker counts them: those of the first memory node, within the container's limit."""
    node = next(iter(sorted(machine.nodes.glob("node[0-9]*/meminfo"))), None)
    total = _node_total(_text(node)) if node is not None else None
    limit = _text(machine.cgroup).strip()
    total = total or psutil.virtual_memory().total
    return min(total, int(limit)) if limit.isdecimal() else total


def _node_total(meminfo: str) -> int | None:
    """Return the bytes of a line such as `Node 0 MemTotal: 97421888 kB`."""
    found = re.search(r"MemTotal:\s+(\d+) kB", meminfo)
    return int(found[1]) * 1024 if found else None


def _title(cpuinfo: str) -> str:
    line = next((line for line in cpuinfo.splitlines() if line.startswith("model name")), "")
    return line.partition(":")[2].strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
