"""What a load point's machine samples say together. Pure.

Gauges (utilisation, power, clocks) are read under load only. A CPU share tells of the time since the sample before, so
it counts by how much of that time lay under load; a process that was not there counts as idle. Energy is the
difference of the card's own counter, else power over time. What can't be known is None.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean

from tuner.domain.telemetry import GpuFigures, GpuSample, MachineFigures, MachineSample, ProcessFigures

_FEWEST_FOR_A_LINE = 2


def machine_figures(samples: Sequence[MachineSample], duration: float | None = None) -> MachineFigures:
    """Return the figures of a load point's samples, in order of time.

    Args:
        samples: the readings, `at` in seconds since the load's start.
        duration: seconds of the load; without it, up to the last sample.
    """
    if not samples:
        return MachineFigures()
    end = samples[-1].at if duration is None else duration
    under_load = [sample for sample in samples if 0 <= sample.at <= end]
    shares = _weighted(samples, end)
    memory = [sample.memory_available_bytes for sample in samples if sample.memory_available_bytes is not None]
    return MachineFigures(
        samples=len(under_load),
        cpu_share_mean=_mean((sample.cpu_share, weight) for sample, weight in shares),
        memory_available_min_bytes=min(memory, default=None),
        gpus=tuple(_gpu_figures(index, samples, under_load, end) for index in _gpu_indices(samples)),
        processes=_process_figures(shares),
    )


def _weighted(samples: Sequence[MachineSample], end: float) -> list[tuple[MachineSample, float]]:
    """Return the samples whose interval lay under load, at least in part, with the seconds that did."""
    overlaps = ((later, min(later.at, end) - max(earlier.at, 0.0)) for earlier, later in pairwise(samples))
    return [(sample, seconds) for sample, seconds in overlaps if seconds > 0]


def _mean(weighted: Iterable[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in weighted if value is not None]
    return fmean((value for value, _ in known), weights=[weight for _, weight in known]) if known else None


def _process_figures(shares: Sequence[tuple[MachineSample, float]]) -> tuple[ProcessFigures, ...]:
    whole = sum(weight for _, weight in shares)
    names: dict[int, str] = {}
    seen: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for sample, weight in shares:
        for process in sample.processes:
            names[process.pid] = process.name
            seen[process.pid].append((process.cpu_share, weight))
    figures = [
        ProcessFigures(
            name=names[pid],
            cpu_share_mean=sum(share * weight for share, weight in its) / whole,
            cpu_share_max=max(share for share, _ in its),
        )
        for pid, its in seen.items()
    ]
    return tuple(sorted(figures, key=lambda process: (-process.cpu_share_mean, process.name)))


def _gpu_indices(samples: Sequence[MachineSample]) -> list[int]:
    return sorted({gpu.index for sample in samples for gpu in sample.gpus})


def _gpu_figures(
    index: int, samples: Sequence[MachineSample], under_load: Sequence[MachineSample], end: float
) -> GpuFigures:
    gpu = [one for sample in under_load for one in sample.gpus if one.index == index]
    clocks = _known(one.sm_clock_mhz for one in gpu)
    power = _average(one.power_w for one in gpu)
    return GpuFigures(
        index=index,
        utilisation_mean=_average(one.utilisation for one in gpu),
        memory_utilisation_mean=_average(one.memory_utilisation for one in gpu),
        memory_used_max_bytes=max(
            (one.memory_used_bytes for one in gpu if one.memory_used_bytes is not None), default=None
        ),
        power_mean_w=power,
        energy_j=_energy(index, samples, end, power),
        sm_clock_mean_mhz=fmean(clocks) if clocks else None,
        sm_clock_min_mhz=min(clocks, default=None),
        temperature_max_c=max(_known(one.temperature_c for one in gpu), default=None),
        throttled=_throttled(gpu),
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _average(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return fmean(known) if known else None


def _energy(index: int, samples: Sequence[MachineSample], end: float, power: float | None) -> float | None:
    """Return joules from 0 to `end`: by the counter, read off between samples, else mean power times seconds."""
    counter = [
        (sample.at, gpu.energy_j)
        for sample in samples
        for gpu in sample.gpus
        if gpu.index == index and gpu.energy_j is not None
    ]
    joules = [value for _, value in counter]
    if len(counter) >= _FEWEST_FOR_A_LINE and joules == sorted(joules):
        return _at(counter, end) - _at(counter, 0.0)
    return None if power is None else power * end


def _at(counter: Sequence[tuple[float, float]], moment: float) -> float:
    """Return a counter's value at a moment, on the straight line between the readings around it (or next to it)."""
    later = next((place for place in range(1, len(counter)) if counter[place][0] >= moment), len(counter) - 1)
    (start, low), (stop, high) = counter[later - 1], counter[later]
    return low + (high - low) * (moment - start) / (stop - start)


def _throttled(gpu: Sequence[GpuSample]) -> dict[str, float]:
    counts = Counter(reason for sample in gpu for reason in sample.throttle_reasons)
    return {reason: count / len(gpu) for reason, count in counts.most_common()}
