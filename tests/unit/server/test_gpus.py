"""Who uses which GPU, on a stand-in for NVML that raises the library's own errors."""

import pytest

from tests.fakes.nvml import GPU_LOST, NO_LIBRARY, NOT_SUPPORTED, Card, FakeNvml, Memory, User
from tuner.server.gpus import GpuState, GpuUser, gpu_states

GIB = 2**30


def test_a_gpu_has_its_uuid_its_memory_and_its_users():
    card = Card(uuid="GPU-a", memory=Memory(total=80 * GIB, used=3 * GIB), users=[User(4711, 2 * GIB)])

    assert gpu_states(FakeNvml(card), None) == (
        GpuState("GPU 0", "GPU-a", 3 * GIB, 80 * GIB, (GpuUser(4711, 2 * GIB),)),
    )


def test_a_machine_without_a_driver_has_no_gpus():
    assert gpu_states(FakeNvml(Card(), init_error=NO_LIBRARY), None) == ()


@pytest.mark.parametrize(
    ("gpus", "count", "labels"),
    [
        (None, None, ["GPU 0", "GPU 1", "GPU 2"]),
        (None, 1, ["GPU 0"]),
        ((2, 0), 1, ["GPU 2"]),
        (("GPU-b",), None, ["GPU-b"]),
        ((0, 7, 1), None, ["GPU 0"]),
    ],
)
def test_an_engine_uses_the_first_of_the_gpus_that_it_sees(
    gpus: tuple[int | str, ...] | None, count: int | None, labels: list[str]
):
    nvml = FakeNvml(Card(uuid="GPU-a"), Card(uuid="GPU-b"), Card(uuid="GPU-c"))

    assert [state.label for state in gpu_states(nvml, gpus, count)] == labels
    assert nvml.initialised == 0


def test_a_mig_slice_that_tells_little_leaves_the_rest_unknown():
    card = Card(
        uuid="MIG-1",
        users=[User(7, None)],
        failing={"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED, "nvmlDeviceGetComputeRunningProcesses": NOT_SUPPORTED},
    )

    assert gpu_states(FakeNvml(card), ("MIG-1",)) == (GpuState("MIG-1", "MIG-1", None, None, None),)


def test_a_gpu_that_fell_off_the_bus_is_all_unknown():
    assert gpu_states(FakeNvml(Card(failing={"every call": GPU_LOST})), None) == (
        GpuState("GPU 0", None, None, None, None),
    )
