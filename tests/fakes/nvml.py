"""An NVML without a card: the library's own errors and constants, figures that a test sets, calls that it forbids."""

import threading
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

pynvml: Any = import_module("pynvml")  # it has no types

NOT_SUPPORTED: Exception = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
FUNCTION_NOT_FOUND: Exception = pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
GPU_LOST: Exception = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
NO_LIBRARY: Exception = pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)


@dataclass
class Rates:
    """nvmlUtilization_t, in percent."""

    gpu: int = 97
    memory: int = 61


@dataclass
class Memory:
    """nvmlMemory_t, in bytes."""

    total: int = 80 * 2**30
    used: int = 70 * 2**30
    reserved: int = 2**29
    """In the second version of the structure alone."""


@dataclass
class User:
    """nvmlProcessInfo_t; in a MIG slice the memory may be unknown."""

    pid: int
    usedGpuMemory: int | None = 2**30  # noqa: N815  # the library's own name


@dataclass
class Card:
    """An H100 under load, as NVML would tell; `failing` maps the name of a call to the error it raises."""

    uuid: str = "GPU-0"
    name: str = "NVIDIA H100 80GB HBM3"
    power_mw: int = 698_000
    energy_mj: int = 5_000_000
    sm_clock_mhz: int = 1980
    memory_clock_mhz: int = 2619
    temperature_c: int = 64
    reasons: int = 0
    memory: Memory = field(default_factory=Memory)
    users: list[User] = field(default_factory=list[User])
    failing: dict[str, Exception] = field(default_factory=dict[str, Exception])


class FakeNvml:
    """The calls of `pynvml` that the tuner makes, under their own names."""

    NVMLError: type[Exception] = pynvml.NVMLError

    def __init__(self, *cards: Card, init_error: Exception | None = None) -> None:
        """Have these cards; `init_error` is what a machine without a driver raises."""
        self.cards = cards
        self.init_error = init_error
        self.nvmlMemory_v2: int = pynvml.nvmlMemory_v2  # the library's own name
        self.initialised = 0
        self.idle = threading.Event()
        """Set once nobody uses it any more."""

    def nvmlInit(self) -> None:  # noqa: N802  # the library's own names, here and below
        """Count the users, as NVML does."""
        if self.init_error is not None:
            raise self.init_error
        self.initialised += 1
        self.idle.clear()

    def nvmlShutdown(self) -> None:  # noqa: N802
        """Forget one user."""
        self.initialised -= 1
        if not self.initialised:
            self.idle.set()

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """Return the number of cards."""
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Card:  # noqa: N802
        """Return a card, which is its own handle."""
        if not 0 <= index < len(self.cards):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> Card:  # noqa: N802
        """Return the card with this UUID."""
        for card in self.cards:
            if card.uuid == uuid:
                return card
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    def nvmlDeviceGetIndex(self, card: Card, /) -> int:  # noqa: N802
        """Return a card's position."""
        self._check(card, "nvmlDeviceGetIndex")
        return self.cards.index(card)

    def nvmlDeviceGetUtilizationRates(self, card: Card, /) -> Any:  # noqa: N802
        """Return percents."""
        self._check(card, "nvmlDeviceGetUtilizationRates")
        return Rates()

    def nvmlDeviceGetName(self, card: Card, /) -> str:  # noqa: N802
        """Return what the driver calls the card."""
        self._check(card, "nvmlDeviceGetName")
        return card.name

    def nvmlDeviceGetMemoryInfo(self, card: Card, version: int | None = None, /) -> Any:  # noqa: N802
        """Return bytes; an old driver knows the structure's first version alone."""
        self._check(card, "nvmlDeviceGetMemoryInfo" if version is None else "nvmlDeviceGetMemoryInfo_v2")
        return card.memory

    def nvmlDeviceGetUUID(self, card: Card, /) -> str:  # noqa: N802
        """Return the card's UUID."""
        self._check(card, "nvmlDeviceGetUUID")
        return card.uuid

    def nvmlDeviceGetComputeRunningProcesses(self, card: Card, /) -> list[User]:  # noqa: N802
        """Return who computes on the card."""
        self._check(card, "nvmlDeviceGetComputeRunningProcesses")
        return card.users

    def nvmlDeviceGetPowerUsage(self, card: Card, /) -> int:  # noqa: N802
        """Return milliwatts."""
        self._check(card, "nvmlDeviceGetPowerUsage")
        return card.power_mw

    def nvmlDeviceGetTotalEnergyConsumption(self, card: Card, /) -> int:  # noqa: N802
        """Return millijoules."""
        self._check(card, "nvmlDeviceGetTotalEnergyConsumption")
        return card.energy_mj

    def nvmlDeviceGetClockInfo(self, card: Card, kind: int, /) -> int:  # noqa: N802
        """Return MHz."""
        self._check(card, "nvmlDeviceGetClockInfo")
        return {pynvml.NVML_CLOCK_SM: card.sm_clock_mhz, pynvml.NVML_CLOCK_MEM: card.memory_clock_mhz}[kind]

    def nvmlDeviceGetTemperature(self, card: Card, sensor: int, /) -> int:  # noqa: N802
        """Return °C."""
        self._check(card, "nvmlDeviceGetTemperature")
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return card.temperature_c

    def nvmlDeviceGetCurrentClocksEventReasons(self, card: Card, /) -> int:  # noqa: N802
        """Return the mask, by the new name."""
        self._check(card, "nvmlDeviceGetCurrentClocksEventReasons")
        return card.reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card: Card, /) -> int:  # noqa: N802
        """Return the mask, by the old name."""
        self._check(card, "nvmlDeviceGetCurrentClocksThrottleReasons")
        return card.reasons

    @staticmethod
    def _check(card: Card, call: str) -> None:
        error = card.failing.get(call) or card.failing.get("every call")
        if error is not None:
            raise error
