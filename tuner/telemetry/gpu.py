"""GPUs as NVML shows them: utilisation, memory, power, clocks, temperature, and why clocks are held back.

Owns the calls to NVML. Every figure stands alone: one that a card, its driver or a MIG slice does not give is None.
Without a driver there are no GPUs, which is no error. NVML is handed in, so that no test needs a GPU.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, TypeVar, cast

from tuner.domain.telemetry import GpuSample

T = TypeVar("T")
Handle = Any
"""NVML's own name of a device."""

CLOCK_EVENT_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
    0x200: "board_limit",
    0x400: "reliability",
}
"""nvml.h's nvmlClocksEventReason… (before CUDA 12.2 nvmlClocksThrottleReason…), as names."""
_IDLE = 0x001

_SM, _MEMORY = 1, 2
"""nvmlClockType_t: NVML_CLOCK_SM and NVML_CLOCK_MEM."""
_GPU_SENSOR = 0
"""nvmlTemperatureSensors_t: NVML_TEMPERATURE_GPU."""


class Nvml(Protocol):
    """The part of `pynvml` (nvidia-ml-py) that is used."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: D102, N802  # the library's own names, here and below
    def nvmlShutdown(self) -> None: ...  # noqa: D102, N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Handle: ...  # noqa: D102, N802
    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> Handle: ...  # noqa: D102, N802
    def nvmlDeviceGetIndex(self, handle: Handle, /) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetUtilizationRates(self, handle: Handle, /) -> Any: ...  # noqa: ANN401, D102, N802
    def nvmlDeviceGetMemoryInfo(self, handle: Handle, /) -> Any: ...  # noqa: ANN401, D102, N802
    def nvmlDeviceGetPowerUsage(self, handle: Handle, /) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Handle, /) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetClockInfo(self, handle: Handle, kind: int, /) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetTemperature(self, handle: Handle, sensor: int, /) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Handle, /) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Handle, /) -> int: ...  # noqa: D102, N802


def load_nvml() -> Nvml:
    """Return NVML itself."""
    return cast("Nvml", import_module("pynvml"))  # it has no types


class GpuReader:
    """Reads some GPUs, one sample each; `open_gpus` makes one."""

    def __init__(self, nvml: Nvml, devices: Sequence[tuple[int, Handle]]) -> None:
        """Read these devices, each with its NVML index, through an NVML that is initialised."""
        self._nvml = nvml
        self._devices = devices

    def read(self) -> tuple[GpuSample, ...]:
        """Return one sample of each GPU. A GPU that fell off the bus has a sample without figures."""
        return tuple(self._sample(index, handle) for index, handle in self._devices)

    def _sample(self, index: int, handle: Handle) -> GpuSample:
        nvml = self._nvml
        rates = self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        return GpuSample(
            index=index,
            utilisation=None if rates is None else rates.gpu / 100,
            memory_utilisation=None if rates is None else rates.memory / 100,
            memory_used_bytes=None if memory is None else memory.used,
            power_w=_thousandth(self._ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))),
            energy_j=_thousandth(self._ask(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))),
            sm_clock_mhz=self._ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, _SM)),
            memory_clock_mhz=self._ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, _MEMORY)),
            temperature_c=self._ask(lambda: nvml.nvmlDeviceGetTemperature(handle, _GPU_SENSOR)),
            throttle_reasons=reason_names(self._reasons(handle) or 0),
        )

    def _reasons(self, handle: Handle) -> int | None:
        """Ask by the new name of the function, which old drivers lack, then by the old one, which CUDA 14 drops."""
        nvml = self._nvml
        found = self._ask(lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
        return self._ask(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)) if found is None else found

    def _ask(self, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except self._nvml.NVMLError:
            return None


def reason_names(bits: int) -> tuple[str, ...]:
    """Return the names of a mask of clock event reasons, lowest bit first; idle is no reason of interest."""
    active = (1 << position for position in range(bits.bit_length()) if bits & 1 << position)
    return tuple(CLOCK_EVENT_REASONS.get(bit, f"reason_{bit:#x}") for bit in active if bit != _IDLE)


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000


def visible_gpus(gpus: Sequence[int] | None, environ: Mapping[str, str] = os.environ) -> tuple[int | str, ...] | None:
    """Return the GPUs that an engine sees, by index or UUID; None is all of them.

    Args:
        gpus: what the study says; without it CUDA_VISIBLE_DEVICES of the tuner's own environment decides.
        environ: the tuner's environment, which an engine inherits.
    """
    if gpus is not None:
        return tuple(gpus)
    listed = environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return None
    return tuple(int(word) if word.isdecimal() else word for word in map(str.strip, listed.split(",")) if word)


@contextlib.contextmanager
def open_gpus(nvml: Nvml, gpus: Sequence[int | str] | None) -> Generator[GpuReader | None]:
    """Initialise NVML for the block and give a reader of these GPUs; None where there are none.

    Args:
        nvml: NVML, by `load_nvml` or a stand-in.
        gpus: which GPUs, by index or UUID; None is all of them. As for CUDA, one that does not exist hides itself and
            all that come after it.
    """
    if gpus is not None and not gpus:
        yield None
        return
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        yield None
        return
    try:
        devices = _devices(nvml, gpus)
        yield GpuReader(nvml, devices) if devices else None
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _devices(nvml: Nvml, gpus: Sequence[int | str] | None) -> list[tuple[int, Handle]]:
    devices: list[tuple[int, Handle]] = []
    with contextlib.suppress(nvml.NVMLError):
        for position, gpu in enumerate(range(nvml.nvmlDeviceGetCount()) if gpus is None else gpus):
            if isinstance(gpu, int):
                devices.append((gpu, nvml.nvmlDeviceGetHandleByIndex(gpu)))
            else:
                handle = nvml.nvmlDeviceGetHandleByUUID(gpu)
                devices.append((_index(nvml, handle, position), handle))
    return devices


def _index(nvml: Nvml, handle: Handle, position: int) -> int:
    try:
        return nvml.nvmlDeviceGetIndex(handle)
    except nvml.NVMLError:  # a MIG slice may have none
        return position
