import pytest

from tests.fakes.shapes import GIB, a100, cpu, full, make_device, make_model, state
from tuner.domain.device import Device
from tuner.domain.model import LatentAttention
from tuner.domain.plan import Deployment
from tuner.plan.defaults import Limits, default_limits, resolve, resolve_limits

B200 = make_device(name="b200", title="NVIDIA B200", memory_bytes=178 * GIB, capability="10.0")
L4 = make_device(name="l4", title="NVIDIA L4", memory_bytes=22 * GIB, capability="8.9")


@pytest.mark.parametrize(
    ("device", "gpus", "expected"),
    [
        (make_device(), 1, Limits(1024, 8192)),
        (make_device(), 8, Limits(1024, 8192)),
        (a100(), 1, Limits(256, 2048)),
        (L4, 1, Limits(256, 2048)),
        (B200, 1, Limits(1024, 16_384)),
        (cpu(), 2, Limits(256, 4096)),
    ],
)
def test_limits_are_vllms_for_the_device(device: Device, gpus: int, expected: Limits):
    assert default_limits(device, gpus) == expected


def test_a_short_context_lowers_the_default_tokens_of_a_step():
    limits = resolve_limits(make_device(), Deployment(max_num_seqs=4), 500)
    assert limits == Limits(4, 2000)


def test_few_tokens_of_a_step_lower_the_default_sequences():
    assert resolve_limits(make_device(), Deployment(max_num_batched_tokens=100), 8192) == Limits(100, 100)


def test_what_is_given_is_kept():
    given = Deployment(max_num_seqs=512, max_num_batched_tokens=300)
    assert resolve_limits(make_device(), given, 8192) == Limits(512, 300)


def test_gpus_schedule_one_batch_ahead_and_a_cpu_does_not():
    assert resolve(make_model(), make_device(), Deployment()).batches_in_flight == 2
    assert resolve(make_model(), make_device(), Deployment(pipeline_parallel=4)).batches_in_flight == 5
    assert resolve(make_model(), cpu(), Deployment()).batches_in_flight == 1


def test_blocks_have_the_size_that_the_backend_takes():
    latent = make_model((LatentAttention(latent_dim=576),))
    sparse = make_model((LatentAttention(latent_dim=576, index_dim=128),))
    sizes = [
        resolve(model, device, Deployment()).block_size
        for model, device in [(make_model(), make_device()), (latent, make_device()), (latent, B200), (sparse, B200)]
    ]
    assert sizes == [16, 16, 32, 64]


def test_a_given_block_size_is_kept():
    assert resolve(make_model(), make_device(), Deployment(block_size=32)).block_size == 32


def test_prefixes_are_not_cached_for_a_model_of_states_alone():
    assert not resolve(make_model((state(),) * 4), make_device(), Deployment()).prefix_caching
    assert resolve(make_model((state(), full())), make_device(), Deployment()).prefix_caching
