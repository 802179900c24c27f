"""What must be clean before a launch: its GPUs, its port, the disk, shared memory, the host's memory.

Owns the looks and the waiting. What may pass is waited for; what stays stops the launch, with whose it is and what to
do. It never ends, signals or cleans up anything: whatever stands in the way belongs to somebody.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner.domain.errors import LaunchError, SurroundingsError
from tuner.domain.failure import Failure, FailureKind
from tuner.server import ports, procfs
from tuner.server.gpus import GpuState
from tuner.server.whose import whose

MIB = 2**20
PATIENCE_S = 60.0
"""How long what may pass is waited for: a server's memory comes back in seconds, the driver's books a little later."""
_POLL_S = 1.0
_ABOVE_BASELINE = 256 * MIB
"""What a GPU may hold above its baseline: the driver's own needs vary by some MiB, a context alone takes 300 to 500."""
_UNNAMED_SHARE = 0.2
"""What a GPU may hold at the study's start for nobody whom the driver names; a desktop takes less."""
_NAMED = 3
"""How many processes are worth naming."""
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the kernel's own place
_MEMINFO = Path("/proc/meminfo")

Sleep = Callable[[float], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Needs:
    """What one launch needs of the machine."""

    gpus: int = 0
    """How many of the study's GPUs it uses, the first ones."""
    port: int | None = None
    """A fixed port; None takes a free one."""
    directories: tuple[Path, ...] = ()
    """Where it, and the tuner, will write."""
    disk_bytes: int = 0
    """What must be free in each of them."""
    shared_memory_bytes: int = 0
    host_memory_bytes: int = 0
    """What it will ask for at once, on a CPU engine."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing in the way."""

    what: str
    advice: str
    where: str = ""
    passes: bool = False
    """Whether it may go away by itself."""
    kind: FailureKind | None = None
    """What it makes of the launch; None stops the study, because no trial would fare better."""

    @property
    def error(self) -> LaunchError | SurroundingsError:
        """What the launch fails with."""
        if self.kind is None:
            return SurroundingsError(self.what, where=self.where, advice=self.advice)
        return LaunchError(Failure(kind=self.kind, evidence=self.what, advice=self.advice))


class Ground:
    """The ground of a study's launches. Make it before the first one: what is seen then is the baseline."""

    def __init__(
        self,
        look: Callable[[int | None], Sequence[GpuState]],
        *,
        patience: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        shared_memory: Path = _SHARED_MEMORY,
        meminfo: Path = _MEMINFO,
    ) -> None:
        """Take what tells the state of the study's first so many GPUs (None is all), and the seconds to wait."""
        self._look = look
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._shared_memory = shared_memory
        self._meminfo = meminfo
        self._used = {state.label: state.used_bytes for state in look(None) if state.used_bytes is not None}
        self._available = _available_bytes(meminfo)

    async def wait_until_clean(self, needs: Needs, on_wait: Callable[[str], None]) -> None:
        """Return once nothing stands in the way of a launch.

        Args:
            needs: what the launch needs.
            on_wait: told of each obstacle that is waited for, once.

        Raises:
            LaunchError: a GPU, or the memory that a CPU engine needs, stayed in somebody else's hands.
            SurroundingsError: the port, the disk or the shared memory can't be had.
        """
        deadline = self._clock() + self._patience
        told = ""
        while (obstacle := await asyncio.to_thread(self.obstacle, needs)) is not None:
            if not obstacle.passes or self._clock() >= deadline:
                raise obstacle.error
            if obstacle.what != told:
                told = obstacle.what
                on_wait(told)
            await self._sleep(_POLL_S)

    def obstacle(self, needs: Needs) -> Obstacle | None:
        """Return the first thing in the way of a launch, what can't pass before what can; None when there is none."""
        return (
            _short_of_disk(needs)
            or self._short_of_shared_memory(needs)
            or _taken_port(needs)
            or self._short_of_host_memory(needs)
            or self._busy_gpu(needs)
        )

    def _busy_gpu(self, needs: Needs) -> Obstacle | None:
        own = {process.pid for process in procfs.descendants(os.getpid())}
        states = self._look(needs.gpus) if needs.gpus else ()
        return next((found for state in states if (found := self._gpu_obstacle(state, own)) is not None), None)

    def _gpu_obstacle(self, state: GpuState, own: set[int]) -> Obstacle | None:
        if state.users:
            return _gpu_is_used(state, own)
        if state.used_bytes is None:
            return None
        known = self._used.get(state.label, state.used_bytes)
        self._used[state.label] = min(known, state.used_bytes)
        if state.used_bytes > known + _ABOVE_BASELINE:
            return _gpu_is_held(state, f"at the study's start it were {known // MIB}")
        if state.total_bytes and state.used_bytes > _UNNAMED_SHARE * state.total_bytes:
            return _gpu_is_held(state, f"of {state.total_bytes // MIB}")
        return None

    def _short_of_shared_memory(self, needs: Needs) -> Obstacle | None:
        if not needs.shared_memory_bytes or not self._shared_memory.is_dir():
            return None
        free = shutil.disk_usage(self._shared_memory).free
        if free >= needs.shared_memory_bytes:
            return None
        return Obstacle(
            f"{free // MIB} MiB of shared memory are free, the engine's processes need "
            f"{needs.shared_memory_bytes // MIB}",
            where=str(self._shared_memory),
            advice="Look for files that nobody uses there (ls -l; lsof), or give a container more: --shm-size=4g.",
        )

    def _short_of_host_memory(self, needs: Needs) -> Obstacle | None:
        """Return an obstacle where the study's start would have had the memory, and now has not.

        What was never there is the configuration's fault, and vLLM says so.
        """
        available = _available_bytes(self._meminfo)
        if available is None or self._available is None:
            return None
        if not available < needs.host_memory_bytes <= self._available:
            return None
        return Obstacle(
            f"{available // MIB} MiB of the host's memory are available, the engine asks for "
            f"{needs.host_memory_bytes // MIB}; at the study's start it were {self._available // MIB}",
            advice="End what took the memory since, or lower gpu-memory-utilization.",
            passes=True,
            kind=FailureKind.GPU_BUSY,
        )


def _gpu_is_used(state: GpuState, own: set[int]) -> Obstacle:
    users = sorted(state.users or (), key=lambda user: -(user.memory_bytes or 0))
    named = [
        f"{'an earlier launch of this study, ' if user.pid in own else ''}{whose(user.pid)}"
        + ("" if user.memory_bytes is None else f" with {user.memory_bytes // MIB} MiB")
        for user in users[:_NAMED]
    ]
    more = f", and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
    return Obstacle(
        f"{state.label} is in use by {', '.join(named)}{more}",
        advice="Wait until it ends or end it yourself, or name other GPUs in engine.gpus; then resume.",
        passes=True,
        kind=FailureKind.GPU_BUSY,
    )


def _gpu_is_held(state: GpuState, compared: str) -> Obstacle:
    return Obstacle(
        f"{(state.used_bytes or 0) // MIB} MiB of {state.label} are taken by nobody whom the driver names, {compared}",
        advice="A container, or a process that is ending, may hold them: see nvidia-smi on the host. Then resume.",
        passes=True,
        kind=FailureKind.GPU_BUSY,
    )


def _taken_port(needs: Needs) -> Obstacle | None:
    if needs.port is None:
        return None
    try:
        ports.reserve(needs.port).close()
    except SurroundingsError as error:
        return Obstacle(error.what, where=error.where, advice=error.advice, passes=True)
    return None


def _short_of_disk(needs: Needs) -> Obstacle | None:
    for directory in needs.directories:
        free = shutil.disk_usage(_existing(directory)).free
        if free < needs.disk_bytes:
            return Obstacle(
                f"{free // MIB} MiB are free on the disk, and a trial should find {needs.disk_bytes // MIB}",
                where=str(directory),
                advice="Make room and resume; TUNER_MIN_FREE_MIB sets another limit.",
            )
    return None


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.parents) if path.exists())


def _available_bytes(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
