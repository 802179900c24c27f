import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.shapes import a100, cpu, full, llama_70b, make_device, make_model, make_weights, sliding
from tuner.domain.device import Device
from tuner.domain.model import ModelShape, Weights, WeightUse
from tuner.domain.plan import Demand, Deployment
from tuner.domain.slo import make_slo
from tuner.plan.roofline import (
    LIKELY,
    QUICK,
    SLOW,
    Speed,
    attention_flops,
    distinct_share,
    matrix_rate,
    operating_point,
)
from tuner.plan.sizing import size


def speed_of(
    model: ModelShape | None = None, device: Device | None = None, demand: Demand | None = None, **settings: object
) -> Speed:
    demand = demand or Demand()
    sizing = size(model or make_model(), device or make_device(), Deployment.model_validate(settings), demand)
    return sizing.speed(demand)


def test_a_prompt_takes_two_operations_for_each_parameter_and_token():
    speed = speed_of()
    body = make_model().parameters - 2 * 128_256 * 4096
    expected = 2 * (body * 500 + 128_256 * 4096) + 32 * 500**2 * 32 * 256
    assert speed.prefill_flops == expected
    assert speed.prefill_s() == pytest.approx(expected / 989e12)


def test_an_8b_model_on_an_h100_has_a_floor_of_seven_milliseconds_for_500_tokens():
    assert speed_of().prefill_s() == pytest.approx(7.1e-3, rel=0.02)


def test_a_single_sequence_reads_the_weights_and_its_cache_for_each_token():
    speed = speed_of()
    read = make_model().weights
    expected = sum(group.bytes * group.read for group in read) + 33 * 16 * 131_072
    assert speed.step_s(1) == pytest.approx(expected / 3.35e12)


def test_a_tied_embedding_is_read_as_the_head():
    tied = speed_of(make_model(weights=make_weights(embedding=100, mlp=10)))
    assert tied.step_bytes(0) == 220


def test_tensor_parallel_divides_the_floors():
    one, four = speed_of(llama_70b()), speed_of(llama_70b(), tensor_parallel=4)
    assert four.prefill_flops == one.prefill_flops
    assert four.prefill_s() == pytest.approx((one.prefill_s() or 0) / 4)
    assert four.step_s(1) == pytest.approx(one.step_s(1) / 4)


def test_tensor_parallel_takes_time_to_sum_what_gpus_computed():
    four = speed_of(llama_70b(), tensor_parallel=4)
    quick, slow = (four.step_s(1, efficiency) for efficiency in (QUICK, SLOW))
    assert quick > four.step_s(1) / QUICK.bandwidth + 160 * QUICK.reduce_s
    assert slow > four.step_s(1) / SLOW.bandwidth + 160 * SLOW.reduce_s


def test_8_bit_weights_use_8_bit_arithmetic_where_the_gpu_has_it():
    quantised = make_model(quantization="fp8")
    assert matrix_rate(quantised, make_device()) == 1979e12
    assert matrix_rate(quantised, a100()) == 312e12
    assert matrix_rate(make_model(quantization="awq"), make_device()) == 989e12


@pytest.mark.parametrize(("size", "rate"), [(1000, 1979e12), (530, 989e12)])
def test_a_format_of_several_kinds_is_told_by_the_size_of_a_weight(size: int, rate: float):
    weights = (Weights(use=WeightUse.MLP, parameters=1000, bytes=size),)
    model = make_model(weights=weights, quantization="compressed-tensors")
    assert matrix_rate(model, make_device()) == rate


def test_a_window_bounds_the_operations_of_attention():
    long = 100_000.0
    windowed = attention_flops(make_model((sliding(1024),)), long)
    assert windowed == 2 * long * 1024 * 32 * 256
    assert attention_flops(make_model((full(),)), long) > windowed
    assert attention_flops(make_model((sliding(1024),)), 100.0) == attention_flops(make_model((full(),)), 100.0)


@given(st.floats(0.001, 1.0), st.floats(1, 2000))
def test_a_batch_visits_at_least_its_own_experts_and_at_most_all(read: float, batch: float):
    share = distinct_share(read, batch)
    assert read - 1e-9 <= share <= 1.0
    assert share <= distinct_share(read, batch + 1)


def test_a_mixture_reads_more_experts_with_a_larger_batch():
    experts = Weights(use=WeightUse.EXPERTS, parameters=8000, bytes=16_000, read=0.25)
    speed = speed_of(make_model(weights=(experts,)))
    without_cache = [speed.step_bytes(batch) - batch * speed.cache_bytes for batch in (1, 2, 1000)]
    assert without_cache == pytest.approx([4000, 7000, 16_000])


def test_an_8b_model_on_an_h100_serves_tens_of_requests_a_second():
    speed = speed_of()
    low, high = (operating_point(speed, 256, efficiency).rate for efficiency in (SLOW, QUICK))
    assert 20 < low < high < 200


def test_what_a_user_measured_on_an_a100_lies_between_the_efficiencies():
    """Llama 3.1 8B, vLLM 0.31: 2,065 tokens took about 140 ms, then 11.5 ms a token."""
    speed = speed_of(device=a100(), demand=Demand(input_tokens=2065, output_tokens=64))
    quick, slow = (speed.prefill_s(efficiency) or 0.0 for efficiency in (QUICK, SLOW))
    assert quick < 0.140 < slow
    assert speed.step_s(1, QUICK) < 0.0115 < speed.step_s(1, SLOW)


@pytest.mark.parametrize(("sequences", "measured"), [(4, 7.0), (16, 9.8), (32, 10.2)])
def test_what_a_cpu_engine_served_lies_between_the_efficiencies(sequences: int, measured: float):
    """The tiny model of scripts/make-tiny-model, vLLM 0.32 on two cores, 128 tokens in, 32 out, 32 users."""
    tiny = make_model(
        (full(2, 64),) * 4,
        weights=make_weights(
            embedding=512 * 256, attention=4 * 2 * 256 * 256, kv_projection=4 * 2 * 256 * 128,
            mlp=4 * 3 * 256 * 688, head=512 * 256,
        ),
        hidden_size=256, intermediate_size=688, heads=4, vocabulary=512, max_length=2048,
    )  # fmt: skip
    demand = Demand(input_tokens=128, output_tokens=32)
    speed = speed_of(tiny, cpu(), demand, gpu_memory_utilization=0.5)
    slow, quick = (operating_point(speed, sequences, efficiency).rate for efficiency in (SLOW, QUICK))
    assert slow < measured < quick


def test_a_replica_of_more_sequences_serves_more_and_slower():
    speed = speed_of()
    few, many = (operating_point(speed, batch, LIKELY) for batch in (8, 256))
    assert many.rate > few.rate
    assert speed.token_s(256, LIKELY) > speed.token_s(8, LIKELY)


def test_requests_in_service_are_rate_times_residence():
    speed = speed_of()
    residence = speed.token_s(64, LIKELY) * speed.demand.output_tokens
    assert speed.rate(64, LIKELY) * residence == pytest.approx(64)


def test_a_tpot_objective_bounds_the_batch_to_the_last_that_meets_it():
    demand = Demand(slos=(make_slo("tpot_p95", "20ms"),))
    speed = speed_of(demand=demand)
    point = operating_point(speed, 1000, LIKELY)
    assert point.limited_by == "tpot"
    assert speed.token_s(point.batch, LIKELY) <= 0.020 < speed.token_s(point.batch + 1, LIKELY)


def test_an_end_to_end_objective_bounds_the_batch_too():
    point = operating_point(speed_of(demand=Demand(slos=(make_slo("e2e_p95", "1s"),))), 1000, LIKELY)
    assert point.limited_by == "e2e"
    assert 0 < point.batch < 1000


def test_a_ttft_objective_below_the_prompts_own_time_can_not_be_met():
    point = operating_point(speed_of(demand=Demand(slos=(make_slo("ttft_p95", "1ms"),))), 1000, LIKELY)
    assert (point.batch, point.rate, point.limited_by) == (0, 0.0, "ttft")


def test_without_an_arithmetic_rate_only_bandwidth_counts():
    speed = speed_of(device=make_device(bf16_flops=None, fp8_flops=None))
    assert speed.prefill_s() is None
    assert speed.rate(8, LIKELY) > 0


def test_a_pipeline_answers_no_quicker_but_holds_more_at_a_time():
    one, two = speed_of(), speed_of(pipeline_parallel=2)
    assert two.token_s(1, LIKELY) >= one.token_s(1, LIKELY)
    assert two.rate(512, LIKELY) > one.rate(256, LIKELY)
