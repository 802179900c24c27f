import pytest

from tests.fakes.shapes import GIB, a100, full, llama_70b, make_device, make_model, make_weights, sliding
from tuner.domain.plan import Basis, Demand, Deployment, Plan
from tuner.domain.slo import make_slo
from tuner.plan.memory import Corrections
from tuner.plan.planner import make_plan

LESSON = make_model((full(32),) * 42, name="gemma-27b", weights=make_weights(mlp=27 * 10**9), max_length=8192)


def plan(**settings: object) -> Plan:
    return make_plan(make_model(), make_device(), Deployment.model_validate(settings), Demand())


def test_the_first_lesson_comes_out_to_the_byte():
    lesson = make_plan(LESSON, a100(), Deployment(), Demand(input_tokens=500, output_tokens=50))
    assert lesson.weights_bytes == 54 * 10**9
    assert lesson.kv_bytes_per_token == 688_128
    assert lesson.kv_bytes_per_sequence == 385_351_680
    assert lesson.max_sequences == (lesson.kv_budget_bytes // (16 * 688_128) - 1) // 35
    assert lesson.fits


def test_the_plan_says_how_many_tokens_vllm_would_log():
    found = plan(max_model_len=8192)
    assert found.kv_tokens == found.kv_budget_bytes // (16 * 131_072) * 16


def test_a_model_that_does_not_fit_still_gets_its_arithmetic():
    found = make_plan(llama_70b(), make_device(), Deployment(), Demand(), devices=[make_device(), a100()])
    assert not found.fits
    assert found.weights_bytes == 2 * llama_70b().parameters
    assert found.kv_bytes_per_token == 327_680
    assert found.kv_budget_bytes < 0
    assert (found.kv_tokens, found.max_sequences) == (0, 0)
    assert (found.expected_rps, found.suggested) == (None, None)
    assert found.binding.startswith("weights")
    assert found.remedies


def test_bytes_are_those_of_the_replica():
    one = make_plan(llama_70b(), make_device(memory_bytes=300 * GIB), Deployment(), Demand())
    four = make_plan(llama_70b(), make_device(), Deployment(tensor_parallel=4), Demand())
    assert four.gpus == 4
    assert four.kv_bytes_per_token == one.kv_bytes_per_token
    assert four.kv_bytes_per_sequence == one.kv_bytes_per_sequence
    assert four.weights_bytes == pytest.approx(one.weights_bytes, rel=0.001)


def test_the_last_line_of_the_memory_is_the_budget():
    found = plan()
    assert found.memory[-1].bytes == found.kv_budget_bytes
    assert found.memory[0].bytes == make_device().memory_bytes


def test_short_answers_are_bound_by_compute_and_long_ones_by_bandwidth():
    model, device = make_model(), make_device()
    short = make_plan(model, device, Deployment(), Demand(input_tokens=2000, output_tokens=10))
    long = make_plan(model, device, Deployment(), Demand(input_tokens=50, output_tokens=1000))
    assert short.binding.startswith("compute")
    assert long.binding.startswith("bandwidth")


def test_a_small_model_waits_for_its_steps_launches():
    tiny = make_model((full(1, 64),), weights=make_weights(mlp=10**6), hidden_size=64, intermediate_size=64)
    found = make_plan(tiny, make_device(), Deployment(), Demand(input_tokens=10, output_tokens=100))
    assert found.binding.startswith("latency: a step's launch")


def test_a_cache_for_few_sequences_binds():
    deployment = Deployment(max_model_len=2048, kv_cache_memory_bytes=4 * GIB)
    found = make_plan(llama_70b(), make_device(memory_bytes=200 * GIB), deployment, Demand(output_tokens=1500))
    assert found.binding.startswith("KV cache")


def test_an_objective_that_bounds_the_batch_binds():
    demand = Demand(slos=(make_slo("tpot_p95", "15ms"),))
    assert make_plan(make_model(), make_device(), Deployment(), demand).binding.startswith("latency: tpot")


def test_the_range_is_wide_and_in_order():
    found = plan().expected_rps
    assert found is not None
    assert 0 < found.low < found.high


def test_windows_are_mentioned_with_what_a_token_costs_within_them():
    found = make_plan(make_model((sliding(1024), full()) * 16), make_device(), Deployment(), Demand())
    assert any("131,072 bytes" in note for note in found.notes)


def test_corrections_are_seen_in_the_plan():
    model, device = make_model(), make_device()
    found = make_plan(model, device, Deployment(), Demand(), Corrections(fixed_bytes=2 * GIB))
    assert [item.basis for item in found.memory if item.name == "outside of torch"] == [Basis.MEASURED]


def test_without_a_target_nothing_is_suggested_and_the_rate_still_expected():
    found = make_plan(make_model(), make_device(), Deployment(), Demand(rps=None))
    assert found.suggested is None
    assert found.expected_rps is not None
