"""What stands in the way of a launch, with GPUs, a clock and a /proc/meminfo that a test sets."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tuner.domain.errors import LaunchError, SurroundingsError
from tuner.domain.failure import FailureKind
from tuner.server.gpus import GpuState, GpuUser
from tuner.server.ground import MIB, Ground, Needs

GIB = 2**30
CLEAN = GpuState("GPU 0", "GPU-a", used_bytes=500 * MIB, total_bytes=80 * GIB, users=())


class Machine:
    """GPUs that change from one look to the next, time that passes by sleeping."""

    def __init__(self, tmp_path: Path) -> None:
        self.meminfo = tmp_path / "meminfo"
        self.available(64 * GIB)
        self.shared_memory = tmp_path
        self.looks: list[GpuState] = [CLEAN]
        self.now = 0.0
        self.told: list[str] = []

    def available(self, count: int) -> None:
        self.meminfo.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {count // 1024} kB\n")

    def look(self, _count: int | None) -> list[GpuState]:
        return [self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]]

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ground(self) -> Ground:
        return Ground(
            self.look, clock=lambda: self.now, sleep=self.sleep, shared_memory=self.shared_memory, meminfo=self.meminfo
        )

    async def wait(self, ground: Ground, needs: Needs) -> None:
        await ground.wait_until_clean(needs, self.told.append)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_on_clean_ground_nothing_is_waited_for(machine: Machine):
    await machine.wait(machine.ground(), Needs(gpus=1))

    assert (machine.now, machine.told) == (0.0, [])


async def test_memory_that_comes_back_is_waited_for_and_told_once(machine: Machine):
    ground = machine.ground()
    held = replace(CLEAN, used_bytes=60 * GIB)
    machine.looks = [held, held, held, CLEAN]

    await machine.wait(ground, Needs(gpus=1))

    assert machine.now == 3.0
    assert machine.told == [
        f"{60 * 1024} MiB of GPU 0 are taken by nobody whom the driver names, at the study's start it were 500"
    ]


async def test_a_stranger_who_stays_is_named_and_the_launch_fails_as_busy(machine: Machine):
    ground = machine.ground()
    machine.looks = [replace(CLEAN, users=(GpuUser(os.getpid(), 20 * GIB), GpuUser(2**22 + 1, None)))]

    with pytest.raises(LaunchError) as caught:
        await machine.wait(ground, Needs(gpus=1))

    failure = caught.value.failure
    assert failure.kind is FailureKind.GPU_BUSY
    assert f"GPU 0 is in use by process {os.getpid()} (" in failure.evidence
    assert "pytest" in failure.evidence
    assert "20480 MiB, process 4194305 (not visible from here" in failure.evidence
    assert "engine.gpus" in failure.advice
    assert machine.now == 60.0


async def test_a_driver_that_names_nobody_is_judged_by_its_memory(machine: Machine):
    ground = machine.ground()
    machine.looks = [replace(CLEAN, users=None, used_bytes=(500 + 300) * MIB)]

    with pytest.raises(LaunchError, match="800 MiB of GPU 0"):
        await machine.wait(ground, Needs(gpus=1))


async def test_a_gpu_that_tells_nothing_holds_nobody_up(machine: Machine):
    ground = machine.ground()
    machine.looks = [GpuState("MIG-1", "MIG-1", None, None, None)]

    await machine.wait(ground, Needs(gpus=1))

    assert machine.told == []


async def test_memory_that_was_taken_before_the_study_began_is_no_baseline(machine: Machine):
    machine.looks = [replace(CLEAN, used_bytes=30 * GIB)]

    with pytest.raises(LaunchError, match=r"30720 MiB of GPU 0 .* of 81920"):
        await machine.wait(machine.ground(), Needs(gpus=1))


async def test_the_baseline_follows_the_least_that_was_seen(machine: Machine):
    machine.looks = [replace(CLEAN, used_bytes=2 * GIB), CLEAN, replace(CLEAN, used_bytes=2 * GIB)]
    ground = machine.ground()
    await machine.wait(ground, Needs(gpus=1))

    with pytest.raises(LaunchError, match="at the study's start it were 500"):
        await machine.wait(ground, Needs(gpus=1))


async def test_a_cpu_engine_looks_at_no_gpu(machine: Machine):
    ground = machine.ground()
    machine.looks = [replace(CLEAN, users=(GpuUser(1, GIB),))]

    await machine.wait(ground, Needs(gpus=0))

    assert machine.told == []


async def test_a_full_disk_stops_the_study_at_once(machine: Machine, tmp_path: Path):
    needs = Needs(directories=(tmp_path / "not" / "made" / "yet",), disk_bytes=shutil.disk_usage(tmp_path).total * 2)

    with pytest.raises(SurroundingsError, match="free on the disk") as caught:
        await machine.wait(machine.ground(), needs)

    assert (caught.value.where, machine.now) == (str(tmp_path / "not" / "made" / "yet"), 0.0)
    assert "TUNER_MIN_FREE_MIB" in caught.value.advice


async def test_too_little_shared_memory_stops_the_study_at_once(machine: Machine, tmp_path: Path):
    needs = Needs(shared_memory_bytes=shutil.disk_usage(tmp_path).total * 2)

    with pytest.raises(SurroundingsError, match="of shared memory are free") as caught:
        await machine.wait(machine.ground(), needs)

    assert "--shm-size" in caught.value.advice


async def test_a_machine_without_shared_memory_is_not_asked_for_it(machine: Machine, tmp_path: Path):
    machine.shared_memory = tmp_path / "nothing"

    await machine.wait(machine.ground(), Needs(shared_memory_bytes=2**60))

    assert machine.told == []


async def test_the_hosts_memory_that_was_there_at_the_start_is_waited_for(machine: Machine):
    ground = machine.ground()
    machine.available(8 * GIB)

    with pytest.raises(LaunchError, match="8192 MiB of the host's memory are available, the engine asks for 20480"):
        await machine.wait(ground, Needs(host_memory_bytes=20 * GIB))

    assert machine.now == 60.0


async def test_memory_that_was_never_there_is_left_to_vllm_to_refuse(machine: Machine):
    await machine.wait(machine.ground(), Needs(host_memory_bytes=100 * GIB))

    assert machine.told == []
