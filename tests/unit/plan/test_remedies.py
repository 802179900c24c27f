from tests.fakes.shapes import GIB, a100, cpu, llama_70b, make_device, make_model
from tuner.domain.device import Device
from tuner.domain.model import ModelShape
from tuner.domain.plan import Demand, Deployment
from tuner.plan.remedies import problem, remedies
from tuner.plan.sizing import size

L4 = make_device(name="l4", title="NVIDIA L4", memory_bytes=22 * GIB)
H200 = make_device(name="h200", title="NVIDIA H200", memory_bytes=140 * GIB)


def advice(model: ModelShape, device: Device, *devices: Device, **settings: object) -> tuple[str, tuple[str, ...]]:
    demand = Demand()
    sizing = size(model, device, Deployment.model_validate(settings), demand)
    return problem(sizing), remedies(sizing, demand, None, devices)


def test_what_fits_has_no_problem():
    assert advice(make_model(), make_device()) == ("", ())


def test_weights_that_are_too_large_are_said_by_how_much():
    what, _ = advice(llama_70b(), make_device())
    assert what == "weights and activations take 61.0 GiB more than 0.92 of the 79.2 GiB of one NVIDIA H100 SXM"


def test_more_gpus_help_where_the_heads_divide():
    _, would_fit = advice(llama_70b(), make_device())
    assert "--tensor-parallel-size 4: 4 x NVIDIA H100 SXM" in would_fit


def test_other_devices_are_named_the_smallest_first():
    _, would_fit = advice(llama_70b(), a100(), L4, H200, make_device(name="b300", memory_bytes=280 * GIB))
    assert would_fit[-1] == "one of b300"
    _, would_fit = advice(make_model(max_length=4096), make_device(memory_bytes=12 * GIB), H200, L4)
    assert would_fit[-1] == "one of l4, h200"


def test_of_many_devices_four_are_named():
    many = [make_device(name=f"gpu-{size}", memory_bytes=size * GIB) for size in range(200, 210)]
    _, would_fit = advice(llama_70b(), a100(), *many)
    assert would_fit[-1] == "one of gpu-200, gpu-201, gpu-202, gpu-203 (and 6 larger)"


def test_a_smaller_checkpoint_is_named_with_its_bytes():
    _, would_fit = advice(llama_70b(max_length=8192), make_device())
    assert any(remedy.startswith("an fp8 checkpoint of it, about 67.7 GiB") for remedy in would_fit)
    _, would_fit = advice(llama_70b(max_length=8192), make_device(memory_bytes=60 * GIB))
    assert any(remedy.startswith("an int4 checkpoint of it, about 37.7 GiB") for remedy in would_fit)


def test_a_quantised_model_is_not_told_to_be_quantised():
    _, would_fit = advice(llama_70b(quantization="fp8"), make_device())
    assert not any("checkpoint" in remedy for remedy in would_fit)


def test_a_cache_too_small_for_the_context_names_the_longest_that_fits():
    what, would_fit = advice(make_model(), L4)
    assert what.startswith("one request of 131,072 tokens needs 16.0 GiB of KV cache on each GPU")
    longest = int(would_fit[0].removeprefix("--max-model-len ").split(":")[0])
    assert size(make_model(), L4, Deployment(max_model_len=longest), Demand()).fits
    assert not size(make_model(), L4, Deployment(max_model_len=longest + 16), Demand()).fits


def test_a_smaller_kv_dtype_is_named_where_it_is_enough():
    _, would_fit = advice(make_model(max_length=40_000), L4)
    assert any(remedy.startswith("--kv-cache-dtype fp8") for remedy in would_fit)


def test_a_given_cache_that_is_too_large_is_said():
    what, _ = advice(make_model(), make_device(), kv_cache_memory_bytes=80 * GIB)
    assert what.startswith("weights, activations and the given KV cache take")


def test_a_cpu_is_not_told_to_be_several():
    _, would_fit = advice(llama_70b(), cpu())
    assert not any("tensor-parallel" in remedy for remedy in would_fit)
