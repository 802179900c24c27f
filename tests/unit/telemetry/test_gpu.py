"""GPUs by NVML, on a stand-in that raises the library's own errors."""

from typing import cast

import pytest

from tests.fakes.nvml import FUNCTION_NOT_FOUND, GPU_LOST, NO_LIBRARY, NOT_SUPPORTED, Card, FakeNvml, pynvml
from tuner.domain.telemetry import GpuSample
from tuner.telemetry.gpu import CLOCK_EVENT_REASONS, load_nvml, open_gpus, reason_names, visible_gpus

WHOLE = GpuSample(
    index=0,
    utilisation=0.97,
    memory_utilisation=0.61,
    memory_used_bytes=70 * 2**30,
    power_w=698.0,
    energy_j=5000.0,
    sm_clock_mhz=1980.0,
    memory_clock_mhz=2619.0,
    temperature_c=64.0,
)
FIGURES = {
    "nvmlDeviceGetUtilizationRates": {"utilisation", "memory_utilisation"},
    "nvmlDeviceGetMemoryInfo": {"memory_used_bytes"},
    "nvmlDeviceGetPowerUsage": {"power_w"},
    "nvmlDeviceGetTotalEnergyConsumption": {"energy_j"},
    "nvmlDeviceGetClockInfo": {"sm_clock_mhz", "memory_clock_mhz"},
    "nvmlDeviceGetTemperature": {"temperature_c"},
}


def read(nvml: FakeNvml, gpus: tuple[int | str, ...] | None = None) -> tuple[GpuSample, ...]:
    with open_gpus(nvml, gpus) as reader:
        return reader.read() if reader else ()


def test_every_figure_comes_in_its_own_unit():
    assert read(FakeNvml(Card())) == (WHOLE,)


@pytest.mark.parametrize("call", FIGURES)
def test_a_figure_that_the_card_does_not_give_is_unknown_and_takes_no_other_with_it(call: str):
    expected = WHOLE.model_copy(update=dict.fromkeys(FIGURES[call]))
    assert read(FakeNvml(Card(failing={call: NOT_SUPPORTED}))) == (expected,)


def test_a_card_that_fell_off_the_bus_has_no_figures_and_its_neighbour_has_all():
    lost, sound = Card(), Card()
    nvml = FakeNvml(lost, sound)
    with open_gpus(nvml, None) as reader:
        assert reader is not None
        lost.failing["every call"] = GPU_LOST
        assert reader.read() == (GpuSample(index=0), WHOLE.model_copy(update={"index": 1}))


@pytest.mark.parametrize(("gpus", "indices"), [(None, [0, 1, 2]), ((2, 0), [2, 0]), ((1,), [1]), ((), [])])
def test_only_the_trials_own_gpus_are_read(gpus: tuple[int, ...] | None, indices: list[int]):
    assert [sample.index for sample in read(FakeNvml(Card(), Card(), Card()), gpus)] == indices


def test_a_gpu_that_does_not_exist_hides_itself_and_all_after_it_as_for_cuda():
    assert [sample.index for sample in read(FakeNvml(Card(), Card()), (1, 7, 0))] == [1]


def test_gpus_can_be_named_by_uuid_and_a_slice_without_an_index_gets_its_position():
    cards = (Card("GPU-a"), Card("GPU-b"), Card("MIG-c", failing={"nvmlDeviceGetIndex": NOT_SUPPORTED}))
    assert [sample.index for sample in read(FakeNvml(*cards), ("GPU-b", "MIG-c"))] == [1, 1]
    assert [sample.index for sample in read(FakeNvml(*cards), ("GPU-x", "GPU-a"))] == []


def test_without_a_driver_there_are_no_gpus_and_no_error():
    assert read(FakeNvml(init_error=NO_LIBRARY)) == ()


def test_a_machine_with_a_driver_and_no_card_has_no_gpus():
    nvml = FakeNvml()
    assert read(nvml) == ()
    assert nvml.initialised == 0


def test_nvml_is_left_as_it_was_found_also_after_an_error():
    nvml = FakeNvml(Card())
    seen: list[int] = []

    def fail() -> None:
        with open_gpus(nvml, None):
            seen.append(nvml.initialised)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (seen, nvml.initialised) == ([1], 0)


def test_an_old_driver_is_asked_by_the_old_name():
    card = Card(reasons=0x40, failing={"nvmlDeviceGetCurrentClocksEventReasons": FUNCTION_NOT_FOUND})
    assert read(FakeNvml(card))[0].throttle_reasons == ("hw_thermal_slowdown",)


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0, ()),
        (0x001, ()),
        (0x004, ("sw_power_cap",)),
        (0x069, ("hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown")),
        (0x8000, ("reason_0x8000",)),
    ],
)
def test_reasons_are_named_idle_is_left_out_and_a_new_one_keeps_its_number(bits: int, names: tuple[str, ...]):
    assert reason_names(bits) == names


def test_the_names_stand_for_the_librarys_own_constants():
    named = {name.upper().replace("_", ""): bit for bit, name in CLOCK_EVENT_REASONS.items()}
    prefixes = ("nvmlClocksEventReason", "nvmlClocksThrottleReason")
    constants: dict[str, int] = {
        name.removeprefix(prefix).upper(): value
        for prefix in prefixes
        for name, value in cast("dict[str, int]", vars(pynvml)).items()
        if name.startswith(prefix)
    }
    for left_out in ("ALL", "NONE", "USERDEFINEDCLOCKS"):
        del constants[left_out]
    assert named == constants


def test_the_stand_in_has_every_call_that_is_made_of_the_library():
    real = load_nvml()
    for call in (name for name in dir(FakeNvml) if name.startswith("nvml")):
        assert callable(getattr(real, call))


@pytest.mark.parametrize(
    ("gpus", "environ", "visible"),
    [
        (None, {}, None),
        ((1, 0), {"CUDA_VISIBLE_DEVICES": "3"}, (1, 0)),
        (None, {"CUDA_VISIBLE_DEVICES": "2, 3"}, (2, 3)),
        (None, {"CUDA_VISIBLE_DEVICES": ""}, ()),
        (None, {"CUDA_VISIBLE_DEVICES": "GPU-8932f937,1"}, ("GPU-8932f937", 1)),
        (None, {"CUDA_VISIBLE_DEVICES": "-1"}, ("-1",)),
    ],
)
def test_the_study_names_the_gpus_else_the_environment_does(
    gpus: tuple[int, ...] | None, environ: dict[str, str], visible: tuple[int | str, ...] | None
):
    assert visible_gpus(gpus, environ) == visible


def test_minus_one_shows_no_gpu():
    assert read(FakeNvml(Card()), visible_gpus(None, {"CUDA_VISIBLE_DEVICES": "-1"})) == ()
