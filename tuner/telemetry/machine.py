"""The engine's processes and the machine's CPU and memory, as the operating system shows them.

Owns the difference between two readings: a CPU share is CPU time over the time between them, so the first reading has
none. Never raises: a process that has gone, or that can't be read, is left out. Costs about 0.1 ms for each process of
the session: every process of the machine is asked for its session only, a system call of a microsecond.
"""

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import psutil

from tuner.domain.telemetry import MachineSample, ProcessSample

_PYTHON = re.compile(r"python[0-9.]*|pypy[0-9.]*")
_MULTIPROCESSING = re.compile(r"from (multiprocessing\.\w+) import")
_LONGEST_NAME = 60


class MachineReader:
    """Reads the machine and one session's processes; it remembers the reading before."""

    def __init__(self, session_id: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the processes of this session (its leader's pid), or none; `at` is told by the clock."""
        self._session_id = session_id
        self._clock = clock
        self._read_at: float | None = None
        self._machine: tuple[float, float] | None = None
        self._cpu_s: dict[tuple[int, float], float] = {}
        """CPU seconds of each process at the reading before, by pid and time of creation."""

    def read(self) -> MachineSample:
        """Return one sample, without GPUs, `at` by the clock."""
        at = self._clock()
        elapsed = None if self._read_at is None else at - self._read_at
        self._read_at = at
        return MachineSample(
            at=at,
            cpu_share=self._cpu_share(),
            memory_available_bytes=psutil.virtual_memory().available,
            processes=self._processes(elapsed),
        )

    def _cpu_share(self) -> float | None:
        before, self._machine = self._machine, _busy_and_total(psutil.cpu_times())
        if before is None:
            return None
        busy, total = (now - then for now, then in zip(self._machine, before, strict=True))
        return min(1.0, max(0.0, busy / total)) if total > 0 else None

    def _processes(self, elapsed: float | None) -> tuple[ProcessSample, ...]:
        before, self._cpu_s = self._cpu_s, {}
        samples: list[ProcessSample] = []
        for pid in session_members(self._session_id):
            try:
                process = psutil.Process(pid)
                with process.oneshot():
                    key, cpu_s = (pid, process.create_time()), _cpu_seconds(process)
                    self._cpu_s[key] = cpu_s
                    if elapsed and key in before:
                        share = max(0.0, (cpu_s - before[key]) / elapsed)
                        samples.append(_sample(process, share))
            except (psutil.Error, OSError):
                continue
        return tuple(samples)


def _sample(process: psutil.Process, share: float) -> ProcessSample:
    return ProcessSample(
        pid=process.pid,
        name=process_name(process.cmdline(), process.name()),
        cpu_share=share,
        memory_bytes=process.memory_info().rss,
    )


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _busy_and_total(times: Any) -> tuple[float, float]:  # noqa: ANN401  # a platform's own fields
    # Linux counts a guest's time within `user` too.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - times.idle - getattr(times, "iowait", 0.0), total


def session_members(session_id: int | None) -> list[int]:
    """Return the pids of a session's processes, zombies among them."""
    return [] if session_id is None else [pid for pid in psutil.pids() if _session_of(pid) == session_id]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def process_name(command_line: Sequence[str], fallback: str) -> str:
    """Return what a process is called: the title it gave itself, else its module, script or program.

    Arguments are left out. vLLM's titles: `VLLM::EngineCore`, `VLLM::Worker_TP0`, `VLLM::APIServer_1`; a single API
    server has none and goes by its module.

    Args:
        command_line: the process's argv, as /proc shows it.
        fallback: the kernel's name of it, where argv says nothing.
    """
    words = [word.strip() for word in command_line if word.strip()]
    if not words:
        return fallback
    title = words[0]
    if "::" in title:
        return title[:_LONGEST_NAME]
    program = PurePath(title).name
    if _PYTHON.fullmatch(program):
        program = _python_name(words[1:]) or program
    return program[:_LONGEST_NAME]


def _python_name(arguments: Sequence[str]) -> str | None:
    for index, word in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        if word == "-m":
            return following or None
        if word == "-c":
            match = _MULTIPROCESSING.search(following)
            return match[1] if match else None
        if not word.startswith("-"):
            return PurePath(word).name
    return None
