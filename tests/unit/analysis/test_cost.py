import pytest

from tests.fakes.builders import make_point
from tuner.analysis.cost import (
    Price,
    bill,
    efficiency,
    gpus_per_replica,
    output_tokens_per_request,
    parse_price,
    price_of,
    words_of,
)
from tuner.domain.measurement import Capacity, Distribution, LoadPoint, SessionFigures
from tuner.domain.telemetry import GpuFigures, MachineFigures

H100 = words_of("NVIDIA H100 80GB HBM3", "h100-sxm")
L40S = words_of("NVIDIA L40S", "l40s")
CAPACITY = Capacity(rps=8, lower_rps=6, upper_rps=10)


def with_gpus(point: LoadPoint, *joules: float | None) -> LoadPoint:
    gpus = tuple(GpuFigures(index=index, energy_j=energy) for index, energy in enumerate(joules))
    return point.model_copy(update={"machine": MachineFigures(samples=10, gpus=gpus)})


@pytest.mark.parametrize("text", ["h100=2.99", "H100=2.99", "h100-80gb=2.99", "nvidia h100 = 2.99", "h100-sxm=2.99"])
def test_a_price_names_a_device_loosely(text: str):
    price = parse_price(text)
    assert price.names(H100)
    assert not price.names(L40S)
    assert price.per_hour == 2.99


def test_a_part_of_a_name_is_not_the_name():
    assert not parse_price("l4=0.8").names(L40S)
    assert not parse_price("h100-nvl=2").names(H100)


@pytest.mark.parametrize(
    "text", ["h100", "=3", "h100=", "h100=free", "h100=0", "h100=-1", "h100=nan", "h100=inf", "--=1"]
)
def test_what_is_no_price_is_refused_with_the_way_to_write_one(text: str):
    with pytest.raises(ValueError, match=r"h100=2\.99"):
        parse_price(text)


def test_the_price_that_says_the_most_about_a_device_counts():
    plain, exact = Price("h100", 2.0), Price("h100-80gb", 3.0)
    assert price_of(H100, [plain, exact]) == exact
    assert price_of(L40S, [plain, exact]) is None


def test_two_prices_of_one_device_are_refused():
    with pytest.raises(ValueError, match="one device"):
        price_of(H100, [Price("h100", 2.0), Price("nvidia", 3.0)])


def test_a_replica_takes_the_product_of_its_parallel_sizes():
    assert gpus_per_replica({}) == 1
    assert gpus_per_replica({"tensor-parallel-size": 4, "pipeline-parallel-size": 2, "data-parallel-size": 2}) == 16


def test_gpus_and_cost_of_a_target_rate_by_hand():
    found = bill(CAPACITY, target_rps=10, headroom=2, gpus=2, tokens_per_request=100, price=Price("h100", 3.0))
    assert (found.replicas, found.gpus, found.gpus_upper) == (3, 6, 8)  # 20/8 and 20/6, rounded up
    assert found.per_hour == 18
    # A replica at capacity: 8 x 100 tokens/s for 6 an hour.
    assert found.per_million_output_tokens == pytest.approx(6 / (8 * 100 * 3600) * 1e6)
    assert found.per_million_output_tokens_lower == pytest.approx(6 / (10 * 100 * 3600) * 1e6)
    assert found.per_million_output_tokens_upper == pytest.approx(6 / (6 * 100 * 3600) * 1e6)
    # All three at the target rate.
    assert found.per_million_output_tokens_at_target == pytest.approx(18 / (10 * 100 * 3600) * 1e6)


def test_without_a_price_there_is_no_cost_and_without_a_capacity_no_gpus():
    found = bill(CAPACITY, target_rps=10, headroom=2, gpus=1, tokens_per_request=100, price=None)
    assert found.gpus == 3
    assert (found.per_hour, found.per_million_output_tokens) == (None, None)
    nothing = Capacity(rps=0, upper_rps=2)
    broken = bill(nothing, target_rps=10, headroom=2, gpus=1, tokens_per_request=100, price=Price("h100", 3.0))
    assert (broken.replicas, broken.gpus, broken.per_hour, broken.per_million_output_tokens_at_target) == (None,) * 4


def test_a_session_counts_the_tokens_of_all_its_calls():
    point = make_point(2.0, output_tokens_per_s=64.0, achieved_rps=2.0)
    assert output_tokens_per_request([point]) == 32
    sessions = SessionFigures(completed=10, failed=0, duration=Distribution(count=10), calls_mean=3.0, idle_share=0.1)
    several = make_point(2.0, output_tokens_per_s=64.0, achieved_rps=2.0, sessions=sessions)
    assert output_tokens_per_request([several]) == 96


def test_the_longest_valid_load_point_tells_the_tokens_of_a_request():
    long = make_point(2.0, output_tokens_per_s=40.0, completed=500)
    invalid = make_point(4.0, output_tokens_per_s=90.0, completed=900, invalid=("the client used 99% of a core",))
    assert output_tokens_per_request([make_point(1.0), long, invalid]) == 20
    assert output_tokens_per_request([invalid]) is None


def test_efficiency_is_the_tokens_of_completed_requests_over_the_joules_of_all_gpus():
    found = efficiency(with_gpus(make_point(2.0), 2000.0, 3000.0))  # 100 requests of 32 tokens in 50 s
    assert found is not None
    assert found.power_w == 100
    assert found.output_tokens_per_joule == pytest.approx(3200 / 5000)


def test_energy_that_was_not_measured_on_every_gpu_is_no_efficiency():
    assert efficiency(make_point(2.0)) is None
    assert efficiency(with_gpus(make_point(2.0), 2000.0, None)) is None
