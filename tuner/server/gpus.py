"""Who uses which GPU and how much of its memory, as NVML tells it before a launch.

Owns the calls to NVML. What a card, its driver or a MIG slice does not tell is None, never a guess; a machine without a
driver has no GPUs, which is no error. NVML is handed in, so that no test needs a GPU. Nothing here touches a process.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")
Handle = Any
"""NVML's own name of a device."""


class Nvml(Protocol):
    """The part of `pynvml` (nvidia-ml-py) that is used."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: D102, N802  # the library's own names, here and below
    def nvmlShutdown(self) -> None: ...  # noqa: D102, N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Handle: ...  # noqa: D102, N802
    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> Handle: ...  # noqa: D102, N802
    def nvmlDeviceGetUUID(self, handle: Handle, /) -> str: ...  # noqa: D102, N802
    def nvmlDeviceGetMemoryInfo(self, handle: Handle, /) -> Any: ...  # noqa: ANN401, D102, N802
    def nvmlDeviceGetComputeRunningProcesses(self, handle: Handle, /) -> Any: ...  # noqa: ANN401, D102, N802


@dataclass(frozen=True, slots=True)
class GpuUser:
    """A process that computes on a GPU."""

    pid: int
    """As the driver counts; in a container it may mean nothing."""
    memory_bytes: int | None
    """None where the driver does not tell, as in a MIG slice."""


@dataclass(frozen=True, slots=True)
class GpuState:
    """One GPU, now."""

    label: str
    """What a person calls it: `GPU 0`, or its UUID."""
    uuid: str | None
    used_bytes: int | None
    total_bytes: int | None
    users: tuple[GpuUser, ...] | None
    """None where the driver does not tell."""


def load_nvml() -> Nvml:
    """Return NVML itself."""
    return cast("Nvml", import_module("pynvml"))  # it has no types


def gpu_states(nvml: Nvml, gpus: Sequence[int | str] | None, count: int | None = None) -> tuple[GpuState, ...]:
    """Return the state of the GPUs that an engine uses; none without a driver.

    Args:
        nvml: NVML, or a stand-in.
        gpus: the GPUs that the engine sees, by index or UUID; None is all of them. As for CUDA, one that does not exist
            hides itself and all that come after it.
        count: how many of these the engine uses, the first ones; None is all of them.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return ()
    try:
        return tuple(islice(_states(nvml, gpus), count))
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _states(nvml: Nvml, gpus: Sequence[int | str] | None) -> list[GpuState]:
    states: list[GpuState] = []
    with contextlib.suppress(nvml.NVMLError):
        for gpu in range(nvml.nvmlDeviceGetCount()) if gpus is None else gpus:
            by_index = isinstance(gpu, int)
            handle = nvml.nvmlDeviceGetHandleByIndex(gpu) if by_index else nvml.nvmlDeviceGetHandleByUUID(gpu)
            states.append(_state(nvml, f"GPU {gpu}" if by_index else str(gpu), handle))
    return states


def _state(nvml: Nvml, label: str, handle: Handle) -> GpuState:
    def asked(question: Callable[[Handle], T]) -> T | None:
        try:
            return question(handle)
        except nvml.NVMLError:
            return None

    memory = asked(nvml.nvmlDeviceGetMemoryInfo)
    users = asked(nvml.nvmlDeviceGetComputeRunningProcesses)
    return GpuState(
        label=label,
        uuid=asked(nvml.nvmlDeviceGetUUID),
        used_bytes=None if memory is None else int(memory.used),
        total_bytes=None if memory is None else int(memory.total),
        users=None if users is None else tuple(GpuUser(int(user.pid), user.usedGpuMemory) for user in users),
    )
