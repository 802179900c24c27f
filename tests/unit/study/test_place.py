"""What a launch needs of the machine, and whom it waits for, with a stand-in for NVML."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.fakes.nvml import NO_LIBRARY, Card, FakeNvml, Memory, User
from tuner.domain.errors import InputError, LaunchError, SurroundingsError
from tuner.domain.failure import FailureKind
from tuner.domain.flags import Flags
from tuner.domain.study import Engine
from tuner.study.place import Place, world_size
from tuner.study.setting import Setting

CLEAN = Memory(used=2**29)


def a_setting(*, on_gpu: bool, gpus: tuple[int, ...] | None = None, port: int | None = None) -> Setting:
    engine = Engine(gpus=gpus, port=port)
    ready = SimpleNamespace(
        spec=SimpleNamespace(study="night", engine=engine),
        info=SimpleNamespace(has_gpu=on_gpu),
        provenance=SimpleNamespace(device_memory_bytes=2**30),
    )
    return cast("Setting", cast("Any", ready))


def a_place(nvml: FakeNvml, tmp_path: Path, setting: Setting, **environ: str) -> Place:
    return Place(setting, nvml, work_dir=tmp_path, environ={"TUNER_LOCK_DIR": str(tmp_path), **environ}, patience=0.0)


async def locks_of(place: Place, flags: Flags) -> set[str]:
    async with place.taken(flags, lambda _: None) as held:
        return {os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")) for descriptor in held}  # noqa: PTH115, PTH119


@pytest.mark.parametrize(
    ("flags", "size"),
    [
        ({}, 1),
        ({"tensor-parallel-size": 4}, 4),
        ({"tensor-parallel-size": 2, "pipeline-parallel-size": 2, "data-parallel-size": 2}, 8),
        ({"tensor-parallel-size": "auto", "data-parallel-size": 0}, 1),
    ],
)
def test_every_worker_has_a_gpu_of_its_own(flags: Flags, size: int):
    assert world_size(flags) == size


@pytest.mark.parametrize(
    ("gpus", "flags", "locks"),
    [
        (None, {}, {"tuner-GPU-a.lock"}),
        (None, {"tensor-parallel-size": 2}, {"tuner-GPU-a.lock", "tuner-GPU-b.lock"}),
        ((1,), {}, {"tuner-GPU-b.lock"}),
    ],
)
async def test_a_launch_takes_the_gpus_that_it_uses(
    tmp_path: Path, gpus: tuple[int, ...] | None, flags: Flags, locks: set[str]
):
    nvml = FakeNvml(Card(uuid="GPU-a", memory=CLEAN), Card(uuid="GPU-b", memory=CLEAN))

    assert await locks_of(a_place(nvml, tmp_path, a_setting(on_gpu=True, gpus=gpus)), flags) == locks


async def test_a_cpu_engine_takes_the_cpu_whatever_gpus_there_are(tmp_path: Path):
    place = a_place(FakeNvml(Card(users=[User(1)])), tmp_path, a_setting(on_gpu=False))

    assert await locks_of(place, {"gpu-memory-utilization": 0.3}) == {"tuner-cpu.lock"}


async def test_gpus_that_no_driver_names_are_taken_all_together(tmp_path: Path):
    place = a_place(FakeNvml(init_error=NO_LIBRARY), tmp_path, a_setting(on_gpu=True))

    assert await locks_of(place, {}) == {"tuner-gpus.lock"}


async def test_a_stranger_on_a_gpu_that_the_launch_does_not_use_is_nobodys_business(tmp_path: Path):
    nvml = FakeNvml(Card(uuid="GPU-a", memory=CLEAN), Card(uuid="GPU-b", users=[User(1)]))

    assert await locks_of(a_place(nvml, tmp_path, a_setting(on_gpu=True)), {}) == {"tuner-GPU-a.lock"}


async def test_a_stranger_on_the_launchs_gpu_fails_it_as_busy(tmp_path: Path):
    place = a_place(FakeNvml(Card(memory=CLEAN, users=[User(1)])), tmp_path, a_setting(on_gpu=True))

    with pytest.raises(LaunchError) as caught:
        await locks_of(place, {})

    assert caught.value.failure.kind is FailureKind.GPU_BUSY
    assert "process 1 (" in caught.value.failure.evidence


async def test_a_disk_below_the_limit_stops_the_study(tmp_path: Path):
    place = a_place(FakeNvml(), tmp_path, a_setting(on_gpu=False), TUNER_MIN_FREE_MIB=str(10**12))

    with pytest.raises(SurroundingsError, match="free on the disk"):
        await locks_of(place, {})


def test_a_limit_that_is_no_number_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="whole number of MiB"):
        a_place(FakeNvml(), tmp_path, a_setting(on_gpu=False), TUNER_MIN_FREE_MIB="2GiB")
