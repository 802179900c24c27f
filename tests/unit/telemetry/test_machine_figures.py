import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.telemetry import GpuFigures, GpuSample, MachineFigures, MachineSample, ProcessFigures, ProcessSample
from tuner.telemetry.machine_figures import machine_figures


def engine(share: float, pid: int = 1, name: str = "VLLM::EngineCore") -> ProcessSample:
    return ProcessSample(pid=pid, name=name, cpu_share=share)


def card(**figures: object) -> GpuSample:
    return GpuSample.model_validate({"index": 0} | figures)


def test_nothing_was_sampled():
    assert machine_figures(()) == MachineFigures()


def test_figures_of_a_load_point_with_a_gpu():
    samples = (
        MachineSample(at=-1.0, memory_available_bytes=90, gpus=(card(utilisation=0.0, power_w=70, energy_j=1000),)),
        MachineSample(
            at=1.0,
            cpu_share=0.3,
            memory_available_bytes=60,
            gpus=(
                card(
                    utilisation=0.9, memory_utilisation=0.5, memory_used_bytes=70, power_w=600, energy_j=1600,
                    sm_clock_mhz=1980, temperature_c=60,
                ),
            ),
        ),
        MachineSample(
            at=2.0,
            cpu_share=0.5,
            memory_available_bytes=70,
            gpus=(
                card(
                    utilisation=1.0, memory_utilisation=0.75, memory_used_bytes=72, power_w=700, energy_j=2300,
                    sm_clock_mhz=1500, temperature_c=88, throttle_reasons=("sw_power_cap", "hw_thermal_slowdown"),
                ),
            ),
        ),
        MachineSample(at=2.5, cpu_share=0.1, memory_available_bytes=80, gpus=(card(utilisation=0.1, energy_j=2400),)),
    )  # fmt: skip
    assert machine_figures(samples, 2.0) == MachineFigures(
        samples=2,
        cpu_share_mean=0.4,
        memory_available_min_bytes=60,
        gpus=(
            GpuFigures(
                index=0,
                utilisation_mean=0.95,
                memory_utilisation_mean=0.625,
                memory_used_max_bytes=72,
                power_mean_w=650,
                energy_j=1000,  # the counter's 2300 at 2 s less its 1300 halfway between -1 s and 1 s
                sm_clock_mean_mhz=1740,
                sm_clock_min_mhz=1500,
                temperature_max_c=88,
                throttled={"sw_power_cap": 0.5, "hw_thermal_slowdown": 0.5},
            ),
        ),
    )


def test_a_cpu_share_counts_by_how_much_of_its_time_lay_under_load():
    samples = (
        MachineSample(at=-3.0),
        MachineSample(at=1.0, processes=(engine(0.2),)),
        MachineSample(at=2.0, processes=(engine(0.8),)),
        MachineSample(at=4.0, processes=(engine(0.5),)),
    )
    assert machine_figures(samples, 3.0).processes == (
        ProcessFigures(name="VLLM::EngineCore", cpu_share_mean=0.5, cpu_share_max=0.8),
    )


def test_the_busiest_process_comes_first_and_a_time_of_absence_counts_as_idle():
    samples = (
        MachineSample(at=0.0),
        MachineSample(at=1.0, processes=(engine(0.4), engine(1.0, 2, "short"))),
        MachineSample(at=2.0, processes=(engine(0.6), engine(0.0, 3, "idle"))),
        MachineSample(at=4.0, processes=(engine(0.5),)),
    )
    figures = machine_figures(samples, 4.0).processes
    assert [(process.name, process.cpu_share_mean) for process in figures] == [
        ("VLLM::EngineCore", 0.5), ("short", 0.25), ("idle", 0.0),
    ]  # fmt: skip


def test_without_an_energy_counter_energy_is_power_over_time():
    samples = tuple(MachineSample(at=float(at), gpus=(card(power_w=300),)) for at in range(-1, 6))
    assert machine_figures(samples, 4.0).gpus[0].energy_j == 1200


def test_a_counter_that_was_reset_gives_no_energy_by_itself():
    counter = enumerate((900, 5, 100))
    samples = tuple(MachineSample(at=float(at), gpus=(card(energy_j=j, power_w=100),)) for at, j in counter)
    assert machine_figures(samples).gpus[0].energy_j == 200


def test_what_a_card_does_not_give_stays_unknown():
    samples = tuple(MachineSample(at=float(at), gpus=(card(),)) for at in range(3))
    assert machine_figures(samples).gpus == (GpuFigures(index=0),)


def test_each_gpu_has_its_own_figures():
    cards = (card(utilisation=0.9), GpuSample(index=3, utilisation=0.1))
    samples = tuple(MachineSample(at=float(at), gpus=cards) for at in range(3))
    assert [(gpu.index, gpu.utilisation_mean) for gpu in machine_figures(samples).gpus] == [
        (0, pytest.approx(0.9)), (3, pytest.approx(0.1)),
    ]  # fmt: skip


def test_a_load_point_shorter_than_the_interval_still_has_its_cpu_and_its_energy():
    samples = (
        MachineSample(at=-0.1, gpus=(card(energy_j=100),)),
        MachineSample(at=0.4, cpu_share=0.7, processes=(engine(0.9),), gpus=(card(energy_j=200),)),
    )
    figures = machine_figures(samples, 0.3)
    assert figures.samples == 0
    assert (figures.cpu_share_mean, figures.processes[0].cpu_share_mean) == (pytest.approx(0.7), pytest.approx(0.9))
    assert figures.gpus[0].energy_j == pytest.approx(60)


@given(
    st.lists(st.floats(min_value=0, max_value=64), min_size=1, max_size=20),
    st.floats(min_value=0.5, max_value=19.5),
)
def test_a_mean_lies_between_the_smallest_and_the_largest_share(shares: list[float], duration: float):
    samples = [MachineSample(at=0.0)]
    samples += [MachineSample(at=float(at), processes=(engine(share),)) for at, share in enumerate(shares, start=1)]
    for process in machine_figures(samples, duration).processes:
        assert min(shares) - 1e-9 <= process.cpu_share_mean <= process.cpu_share_max + 1e-9
