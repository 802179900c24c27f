"""Where a study's launches run: devices taken in turn, ground looked over before each, a compile cache of its own.

Owns what a configuration needs of the machine. The looks, the locks and the cache are the server package's.
"""

import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tuner.domain.errors import InputError
from tuner.domain.flags import Flags
from tuner.server.compile_cache import CompileCache
from tuner.server.gpus import GpuState, Nvml, gpu_states
from tuner.server.ground import MIB, PATIENCE_S, Ground, Needs
from tuner.server.turns import lock_directory, turn
from tuner.study.setting import Setting
from tuner.telemetry.gpu import visible_gpus

MIN_FREE_VARIABLE = "TUNER_MIN_FREE_MIB"
_MIN_FREE_MIB = 2048
"""What a launch should find on the disk: vLLM's compile cache takes up to 1 GiB a configuration, a trial's records some
tens of MiB, its log a few."""
_WORLD = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size", "prefill-context-parallel-size")
_SHARED_MEMORY_MIB = 64
"""What vLLM's message queue touches of its hundreds of MiB, and what Docker gives by default."""
_SHARED_MEMORY_EACH_MIB = 256
"""What every further worker's NCCL takes."""


class Place:
    """The machine as a study's launches find it. Make it before the first one: what is seen then is the baseline."""

    def __init__(
        self,
        setting: Setting,
        nvml: Nvml,
        *,
        work_dir: Path,
        environ: Mapping[str, str],
        patience: float = PATIENCE_S,
    ) -> None:
        """Look at the machine.

        Args:
            setting: The study, ready to run.
            nvml: NVML, or a stand-in.
            work_dir: Where the files beside the result file are: the disk that must have room.
            environ: The caller's environment.
            patience: Seconds to wait for what may pass.

        Raises:
            InputError: TUNER_MIN_FREE_MIB is no number.
        """
        spec = setting.spec
        self._setting = setting
        self._nvml = nvml
        self._gpus = visible_gpus(spec.engine.gpus, environ)
        self.cache = CompileCache.of_study(spec.study, work_dir, engine_env=spec.engine.env, environ=environ)
        self._directories = (work_dir, *([self.cache.directory] if self.cache.directory else []))
        self._disk_bytes = _min_free_mib(environ) * MIB
        self._locks = lock_directory(environ)
        self._ground = Ground(self._look, patience=patience)

    @asynccontextmanager
    async def taken(self, flags: Flags, on_wait: Callable[[str], None]) -> AsyncGenerator[tuple[int, ...]]:
        """Wait for the turn of a launch with these flags and for clean ground, and hold its devices meanwhile.

        Yields the descriptors that hold them: the launch's supervisor needs them.

        Raises:
            LaunchError: a device stayed in somebody else's hands.
            SurroundingsError: the port, the disk, shared memory or the lock can't be had.
        """
        needs = self._needs(flags)

        def wait_for(holder: str) -> None:
            on_wait(f"waiting for {holder} to end")

        async with turn(
            self._devices(needs), self._setting.spec.study, directory=self._locks, on_wait=wait_for
        ) as descriptors:
            await self._ground.wait_until_clean(needs, lambda what: on_wait(f"waiting: {what}"))
            yield descriptors

    def _look(self, count: int | None) -> tuple[GpuState, ...]:
        return gpu_states(self._nvml, self._gpus, count) if self._setting.info.has_gpu else ()

    def _devices(self, needs: Needs) -> list[str]:
        """Return what is locked: GPUs by their UUIDs, all of them under one name where no driver tells, or the CPU."""
        if not needs.gpus:
            return ["cpu"]
        return [state.uuid or state.label for state in self._look(needs.gpus)] or ["gpus"]

    def _needs(self, flags: Flags) -> Needs:
        workers = world_size(flags)
        on_gpu = self._setting.info.has_gpu
        shared = _SHARED_MEMORY_MIB + _SHARED_MEMORY_EACH_MIB * (workers - 1)
        return Needs(
            gpus=workers if on_gpu else 0,
            port=self._setting.spec.engine.port,
            directories=self._directories,
            disk_bytes=self._disk_bytes,
            shared_memory_bytes=0 if on_gpu and workers == 1 else shared * MIB,
            host_memory_bytes=0 if on_gpu else self._cpu_share(flags),
        )

    def _cpu_share(self, flags: Flags) -> int:
        """Return the bytes that a CPU engine asks for at its start; 0 where that is not known."""
        cache, share = flags.get("kv-cache-memory-bytes"), flags.get("gpu-memory-utilization")
        if isinstance(cache, int):
            return cache
        total = self._setting.provenance.device_memory_bytes
        return int(share * total) if isinstance(share, int | float) and total else 0


def world_size(flags: Flags) -> int:
    """Return how many workers a configuration has: one for each of its GPUs."""
    sizes = (flags.get(name, 1) for name in _WORLD)
    return math.prod(size for size in sizes if isinstance(size, int) and size > 0)


def _min_free_mib(environ: Mapping[str, str]) -> int:
    text = environ.get(MIN_FREE_VARIABLE, str(_MIN_FREE_MIB))
    if not text.isdecimal():
        raise InputError(f"{text!r} is no whole number of MiB", where=MIN_FREE_VARIABLE)
    return int(text)
