"""The GPU in this machine, by NVML: the catalogue's figures, and the memory that its driver really offers.

NVML is handed in, so that no test needs a GPU. Without a driver there is no GPU, which is no error.
"""

import contextlib
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from tuner.devices.catalogue import by_driver_name, devices
from tuner.domain.device import Device
from tuner.domain.errors import InputError
from tuner.domain.problems import nearest

Handle = Any
"""NVML's own name of a device."""


class Nvml(Protocol):
    """The part of `pynvml` (nvidia-ml-py) that is used."""

    NVMLError: type[Exception]
    nvmlMemory_v2: int  # noqa: N815  # the library's own names, here and below

    def nvmlInit(self) -> None: ...  # noqa: D102, N802
    def nvmlShutdown(self) -> None: ...  # noqa: D102, N802
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Handle: ...  # noqa: D102, N802
    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> Handle: ...  # noqa: D102, N802
    def nvmlDeviceGetName(self, handle: Handle, /) -> str: ...  # noqa: D102, N802
    def nvmlDeviceGetMemoryInfo(self, handle: Handle, version: int | None = None, /) -> Any: ...  # noqa: ANN401, D102, N802


def load_nvml() -> Nvml:
    """Return NVML itself."""
    return cast("Nvml", import_module("pynvml"))  # it has no types


def local_gpu(nvml: Nvml, gpus: Sequence[int | str] | None) -> Device | None:
    """Return the first GPU that an engine would see here, None where there is none.

    Args:
        nvml: NVML, by `load_nvml` or a stand-in.
        gpus: which GPUs, by index or UUID; None is all of them.

    Raises:
        InputError: the catalogue does not have it.
    """
    if gpus is not None and not gpus:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        found = _name_and_memory(nvml, gpus[0] if gpus else 0)
    except nvml.NVMLError:
        return None
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
    return _known(*found)


def _name_and_memory(nvml: Nvml, gpu: int | str) -> tuple[str, int | None]:
    find = nvml.nvmlDeviceGetHandleByIndex if isinstance(gpu, int) else nvml.nvmlDeviceGetHandleByUUID
    handle = find(gpu)  # pyright: ignore[reportArgumentType]
    return nvml.nvmlDeviceGetName(handle), _offered(nvml, handle)


def _offered(nvml: Nvml, handle: Handle) -> int | None:
    """Return the bytes that CUDA offers: NVML's total less what driver and ECC reserve; old drivers don't say."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2)
    except nvml.NVMLError:
        return None
    return memory.total - memory.reserved


def _known(name: str, memory: int | None) -> Device:
    device = by_driver_name(name)
    if device is None:
        raise InputError(
            f"the GPU here, {name}, is not in the catalogue; {nearest(name.removeprefix('NVIDIA '), devices())}",
            advice="Name the GPU that is nearest to it with --gpu; `tuner gpus` lists them.",
        )
    if memory is None:
        return device
    sources = (*device.sources, "memory measured here")
    return device.model_copy(update={"memory_bytes": memory, "sources": sources})
