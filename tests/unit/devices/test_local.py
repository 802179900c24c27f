"""The GPU here, as NVML tells."""

import pytest

from tests.fakes.nvml import FUNCTION_NOT_FOUND, NO_LIBRARY, NOT_SUPPORTED, Card, FakeNvml, Memory
from tuner.devices.catalogue import device
from tuner.devices.local import local_gpu
from tuner.domain.errors import InputError


def test_a_known_gpu_has_the_catalogues_figures_and_the_memory_that_its_driver_offers():
    nvml = FakeNvml(Card())
    found = local_gpu(nvml, None)
    assert found is not None
    assert found.name == "h100-sxm"
    assert found.bandwidth == device("h100-sxm").bandwidth
    assert found.memory_bytes == Memory().total - Memory().reserved
    assert "measured here" in found.sources[-1]
    assert nvml.initialised == 0


def test_the_first_gpu_that_an_engine_sees_counts():
    nvml = FakeNvml(Card(), Card(uuid="GPU-1", name="NVIDIA L4"))
    for gpus in ((1,), ("GPU-1",)):
        found = local_gpu(nvml, gpus)
        assert found is not None
        assert found.name == "l4"


def test_an_old_driver_leaves_the_catalogues_memory():
    found = local_gpu(FakeNvml(Card(failing={"nvmlDeviceGetMemoryInfo_v2": FUNCTION_NOT_FOUND})), None)
    assert found == device("h100-sxm")


def test_an_unknown_gpu_is_named_with_what_to_do():
    with pytest.raises(InputError, match=r"NVIDIA RTX 4000 Ada.*not in the catalogue") as caught:
        local_gpu(FakeNvml(Card(name="NVIDIA RTX 4000 Ada")), None)
    assert "--gpu" in caught.value.advice


@pytest.mark.parametrize(
    "nvml",
    [FakeNvml(init_error=NO_LIBRARY), FakeNvml(), FakeNvml(Card(failing={"nvmlDeviceGetName": NOT_SUPPORTED}))],
    ids=["no driver", "no card", "no name"],
)
def test_without_a_gpu_there_is_none(nvml: FakeNvml):
    assert local_gpu(nvml, None) is None
    assert nvml.initialised == 0


def test_a_study_that_hides_all_gpus_has_none():
    assert local_gpu(FakeNvml(Card()), ()) is None
