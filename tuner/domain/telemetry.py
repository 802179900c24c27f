"""What the machine did through a load point: its GPUs, the engine's processes, system memory. None is unknown."""

from tuner.domain.base import Frozen


class GpuSample(Frozen):
    """One GPU at one moment."""

    index: int
    utilisation: float | None = None
    """Share of the last sampling period with a kernel running, 0 to 1."""
    memory_utilisation: float | None = None
    """Share of the last sampling period in which memory was read or written, 0 to 1."""
    memory_used_bytes: int | None = None
    power_w: float | None = None
    energy_j: float | None = None
    """Counter since the driver was loaded."""
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    throttle_reasons: tuple[str, ...] = ()
    """Active clock event reasons by NVML's names, such as `sw_power_cap` or `hw_thermal_slowdown`; idle left out."""


class ProcessSample(Frozen):
    """One process of the engine's session at one moment."""

    pid: int
    name: str
    """As the process calls itself, such as `VLLM::EngineCore`."""
    cpu_share: float
    """CPU time since the sample before over the time between: 1.0 is one core."""
    memory_bytes: int | None = None
    """Resident memory."""


class MachineSample(Frozen):
    """One reading of the machine."""

    at: float
    """Seconds since the load point's start (negative: before it), monotonic."""
    cpu_share: float | None = None
    """Of all cores together, 0 to 1, since the sample before."""
    memory_available_bytes: int | None = None
    gpus: tuple[GpuSample, ...] = ()
    processes: tuple[ProcessSample, ...] = ()


class GpuFigures(Frozen):
    """One GPU through a load point."""

    index: int
    utilisation_mean: float | None = None
    memory_utilisation_mean: float | None = None
    memory_used_max_bytes: int | None = None
    power_mean_w: float | None = None
    energy_j: float | None = None
    sm_clock_mean_mhz: float | None = None
    sm_clock_min_mhz: float | None = None
    temperature_max_c: float | None = None
    throttled: dict[str, float] = {}
    """Share of samples by clock event reason, those that occurred."""


class ProcessFigures(Frozen):
    """One process of the engine's session through a load point."""

    name: str
    cpu_share_mean: float
    cpu_share_max: float


class MachineFigures(Frozen):
    """The machine through a load point."""

    samples: int = 0
    cpu_share_mean: float | None = None
    memory_available_min_bytes: int | None = None
    gpus: tuple[GpuFigures, ...] = ()
    processes: tuple[ProcessFigures, ...] = ()
    """The busiest first."""
