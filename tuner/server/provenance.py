"""What a launch runs on: the GPU by NVML, or the CPU where there is none. Unknown is None, never a guess."""

import os
import platform
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tuner.domain.trial import Provenance

_CPUINFO = Path("/proc/cpuinfo")
_MEMINFO = Path("/proc/meminfo")
_MODEL_KEYS = frozenset({"model name", "Model", "cpu model"})


def device_provenance(gpus: Sequence[int] | None, *, on_gpu: bool) -> Provenance:
    """Return the machine's part of a provenance; the engine's and the tuner's versions are the caller's to add.

    Args:
        gpus: the GPUs that a launch sees; None is all of them.
        on_gpu: whether the engine runs on GPUs at all.
    """
    found = _gpu_provenance(gpus) if on_gpu else None
    return found or cpu_provenance(_read(_CPUINFO), _read(_MEMINFO), os.cpu_count())


def cpu_provenance(cpuinfo: str, meminfo: str, cpus: int | None) -> Provenance:
    """Return the provenance of a CPU engine, from the texts of /proc/cpuinfo and /proc/meminfo."""
    kibibytes = _field(meminfo, frozenset({"MemTotal"}))
    return Provenance(
        device=_field(cpuinfo, _MODEL_KEYS) or platform.machine() or None,
        device_count=1,
        device_memory_bytes=int(kibibytes.split()[0]) * 1024 if kibibytes else None,
        host_cpus=cpus,
    )


def _gpu_provenance(gpus: Sequence[int] | None) -> Provenance | None:
    nvml: Any = import_module("pynvml")  # it has no types
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        count = int(nvml.nvmlDeviceGetCount())
        chosen = [index for index in (range(count) if gpus is None else gpus) if index < count]
        return _describe(nvml, chosen) if chosen else None
    except nvml.NVMLError:
        return None
    finally:
        nvml.nvmlShutdown()


def _describe(nvml: Any, chosen: Sequence[int]) -> Provenance:  # noqa: ANN401
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in chosen]
    names = sorted({str(nvml.nvmlDeviceGetName(handle)) for handle in handles})
    return Provenance(
        device=" + ".join(names),
        device_count=len(handles),
        device_memory_bytes=min(int(nvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles),
        driver=str(nvml.nvmlSystemGetDriverVersion()),
        host_cpus=os.cpu_count(),
    )


def _field(text: str, keys: frozenset[str]) -> str | None:
    """Return the value of the first `key : value` line with one of the keys."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip() or None
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
