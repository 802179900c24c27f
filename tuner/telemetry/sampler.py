"""Samples the machine before, during and after a load point: the engine's processes, GPUs, CPU, memory.

Owns the one thread that reads: NVML answers in microseconds or in tens of milliseconds, as the driver likes, and the
tuner's event loop must not wait for it. Never raises into the load: a reading that fails is skipped and counted.
"""

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import psutil

from tuner.domain.telemetry import MachineSample
from tuner.telemetry.gpu import GpuReader, Nvml, load_nvml, open_gpus
from tuner.telemetry.machine import MachineReader
from tuner.telemetry.rhythm import at_intervals

_log = logging.getLogger(__name__)

_TIMEOUT = 5.0
"""Seconds for one reading. A driver that needs longer is stuck, and the load must not wait with it."""


class Sampler:
    """Collects the samples of one load point; `sampling` runs it."""

    def __init__(self, machine: MachineReader, gpus: Sequence[int | str] | None, nvml: Nvml | None) -> None:
        """Read the machine, and these GPUs (None is all) through NVML or a stand-in."""
        self._machine = machine
        self._wanted = gpus
        self._nvml = nvml
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telemetry")
        self._open = contextlib.ExitStack()
        self._samples: list[MachineSample] = []
        self.failures = 0
        """Readings that gave no sample."""

    def samples(self, origin: float) -> tuple[MachineSample, ...]:
        """Return the samples so far, `at` counted in seconds from `origin` on the clock."""
        return tuple(sample.model_copy(update={"at": sample.at - origin}) for sample in self._samples)

    async def sample(self) -> None:
        """Read the machine once."""
        try:
            async with asyncio.timeout(_TIMEOUT):  # wait_for loses a cancellation that comes with the result (3.11)
                await asyncio.get_running_loop().run_in_executor(self._thread, self._read)
        except (TimeoutError, psutil.Error, OSError) as error:
            self.failures += 1
            _log.debug("sample skipped: %r", error)

    def close(self) -> None:
        """Let NVML go, once a reading under way has ended; does not wait for it."""
        self._thread.submit(self._open.close)
        self._thread.shutdown(wait=False)

    def _read(self) -> None:
        sample = self._machine.read()
        self._samples.append(sample.model_copy(update={"gpus": self._gpus.read() if self._gpus else ()}))

    @functools.cached_property
    def _gpus(self) -> GpuReader | None:
        return self._open.enter_context(open_gpus(self._nvml or load_nvml(), self._wanted))


@contextlib.asynccontextmanager
async def sampling(
    *,
    session_id: int | None,
    gpus: Sequence[int | str] | None = None,
    interval: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
    nvml: Nvml | None = None,
) -> AsyncGenerator[Sampler]:
    """Sample the machine once on entry, every `interval` seconds, and once more on exit.

    Args:
        session_id: the engine's session, by its leader's pid; None leaves processes out.
        gpus: the trial's GPUs, by index or UUID; None is all of them, an empty sequence none.
        interval: seconds.
        clock: monotonic; the load's own.
        nvml: a stand-in for NVML.

    Example:
        async with sampling(session_id=server.pid, gpus=visible_gpus(spec.engine.gpus)) as sampler:
            result = await run_load(job)
        samples = sampler.samples(result.started_at)
    """
    sampler = Sampler(MachineReader(session_id, clock=clock), gpus, nvml)
    try:
        await sampler.sample()
        async with at_intervals(sampler.sample, interval=interval, clock=clock):
            yield sampler
        await sampler.sample()
    finally:
        sampler.close()
