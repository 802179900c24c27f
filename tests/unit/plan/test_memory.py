"""The sum of one GPU's memory. How near it comes to what users saw is in test_published.py."""

import math

import pytest

from tests.fakes.shapes import GIB, cpu, llama_70b, make_device, make_model
from tuner.domain.model import ModelShape
from tuner.domain.plan import Basis, Deployment
from tuner.plan.defaults import resolve
from tuner.plan.memory import NO_CORRECTIONS, Corrections, Memory, memory


def sum_of(model: ModelShape | None = None, corrections: Corrections = NO_CORRECTIONS, **settings: object) -> Memory:
    deployment, model = Deployment.model_validate(settings), model or make_model()
    device = make_device()
    return memory(model, device, deployment, resolve(model, device, deployment), corrections)


def line(found: Memory, name: str) -> int:
    return next((item.bytes for item in found.items if item.name == name), 0)


def basis(found: Memory, name: str) -> Basis:
    return next(item.basis for item in found.items if item.name == name)


def test_the_first_line_less_those_between_is_the_last():
    for found in (sum_of(), sum_of(llama_70b(), tensor_parallel=4), sum_of(gpu_memory_utilization=0.5)):
        first, *between, last = (item.bytes for item in found.items)
        assert first - sum(between) == last


def test_vllm_takes_the_share_rounded_up():
    found = sum_of(gpu_memory_utilization=0.9)
    whole = make_device().memory_bytes
    assert line(found, "left alone") == whole - math.ceil(whole * 0.9)


def test_every_line_of_a_replica_counts_all_its_gpus():
    one, four = sum_of(llama_70b()), sum_of(llama_70b(), tensor_parallel=4)
    assert line(four, "GPU memory") == 4 * line(one, "GPU memory")
    assert line(four, "CUDA graphs") == 4 * line(one, "CUDA graphs")
    assert line(one, "weights") < line(four, "weights") < 1.01 * line(one, "weights")


def test_a_step_of_more_tokens_leaves_less_for_the_cache():
    few, many = (sum_of(max_num_batched_tokens=count).stage_kv[0] for count in (2048, 16_384))
    assert few > many


def test_older_versions_sorted_every_logit_while_they_were_profiled():
    now, then = sum_of(), sum_of(vllm_version="0.11.2")
    assert line(then, "activations") == pytest.approx(4.76 * GIB, rel=0.01)
    assert line(now, "activations") < GIB


def test_graphs_take_nothing_in_eager_mode_or_before_they_were_counted():
    assert line(sum_of(enforce_eager=True), "CUDA graphs") == 0
    assert line(sum_of(vllm_version="0.20.0"), "CUDA graphs") == 0
    assert line(sum_of(vllm_version="0.21.0"), "CUDA graphs") > 0


def test_a_given_cache_takes_the_place_of_the_share():
    found = sum_of(kv_cache_memory_bytes=GIB)
    assert found.stage_kv == (GIB,)
    assert line(found, "left alone") == 0


def test_what_does_not_fit_leaves_less_than_nothing():
    assert sum_of(llama_70b()).stage_kv[0] < 0


def test_a_cpu_has_a_process_and_no_graphs():
    deployment = Deployment(gpu_memory_utilization=0.9)
    found = memory(make_model(), cpu(), deployment, resolve(make_model(), cpu(), deployment), NO_CORRECTIONS)
    assert line(found, "CUDA graphs") == 0
    assert line(found, "process") > 0


def test_nothing_is_called_measured_without_launches():
    assert Basis.MEASURED not in {item.basis for item in sum_of().items}


def test_measured_weights_take_the_place_of_computed_ones():
    found = sum_of(corrections=Corrections(weights_bytes=20 * GIB))
    assert found.stage_weights == (20 * GIB,)
    assert basis(found, "weights") is Basis.MEASURED


def test_measured_weights_of_the_fullest_stage_scale_the_others():
    computed = sum_of(pipeline_parallel=2).stage_weights
    measured = sum_of(pipeline_parallel=2, corrections=Corrections(weights_bytes=2 * max(computed))).stage_weights
    assert measured == tuple(2 * size for size in computed)


def test_a_measured_peak_follows_the_tokens_of_a_step():
    corrections = Corrections(activation_bytes_per_batched_token=100_000.0)
    found = sum_of(corrections=corrections, max_num_batched_tokens=4096)
    assert line(found, "activations") == 409_600_000
    assert basis(found, "activations") is Basis.MEASURED


def test_measured_fixed_bytes_replace_graphs_and_what_lies_outside():
    found = sum_of(corrections=Corrections(fixed_bytes=GIB))
    assert line(found, "outside of torch") == GIB
    assert line(found, "CUDA graphs") == 0


def test_a_ratio_of_tokens_scales_the_cache_that_is_left():
    plain, scaled = sum_of(), sum_of(corrections=Corrections(kv_tokens_ratio=0.5))
    assert scaled.stage_kv[0] == pytest.approx(plain.stage_kv[0] / 2, abs=1)
    assert basis(scaled, "KV cache") is Basis.MEASURED
