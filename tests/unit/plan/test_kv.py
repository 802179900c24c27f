"""Bytes and blocks of the KV cache, worked out by hand; vLLM's own answers are in tests/vllm/test_plan.py."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.shapes import GIB, a100, cpu, full, make_device, make_model, sliding, state
from tuner.domain.device import Device
from tuner.domain.model import LatentAttention, ModelShape, NoCache
from tuner.domain.plan import Deployment
from tuner.plan.defaults import resolve
from tuner.plan.kv import (
    CacheLayout,
    bytes_per_short_token,
    bytes_per_token,
    cache_layout,
    kv_tokens,
    stage_bounds,
)

LESSON = make_model((full(32),) * 42)


def layout_of(model: ModelShape, device: Device | None = None, **settings: object) -> CacheLayout:
    return cache_layout(model, resolve(model, device or make_device(), Deployment.model_validate(settings)))


def token_bytes(model: ModelShape, **settings: object) -> int:
    return bytes_per_token(model, resolve(model, make_device(), Deployment.model_validate(settings)))


def test_the_first_lesson_comes_out_to_the_byte():
    layout = layout_of(LESSON, a100())
    assert token_bytes(LESSON) == 688_128
    assert layout.sequence_blocks(550) == 35
    assert layout.sequence_blocks(550) * layout.block_bytes == 560 * 688_128 == 385_351_680


def test_the_lessons_twenty_gigabytes_hold_51_sequences_once_blocks_are_whole():
    layout = layout_of(LESSON, a100())
    blocks = layout.blocks([20 * 10**9])
    assert (blocks - 1) // layout.sequence_blocks(550) == 51


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("auto", 131_072),
        ("bfloat16", 131_072),
        ("float32", 262_144),
        ("fp8", 65_536),
        ("int8_per_token_head", 32 * 8 * (256 + 8)),
        ("int4_per_token_head", 32 * 8 * (128 + 8)),
        ("nvfp4", 32 * 8 * 2 * (64 + 8)),
    ],
)
def test_a_token_costs_what_its_dtype_says(dtype: str, expected: int):
    assert token_bytes(make_model(), kv_cache_dtype=dtype) == expected


def test_uniform_layers_give_blocks_times_their_tokens():
    layout = layout_of(make_model(), max_model_len=8192)
    blocks = layout.blocks([10 * GIB])
    assert blocks == 10 * GIB // (16 * 131_072)
    assert layout.tokens(blocks) == blocks * 16


def test_a_length_that_is_no_multiple_of_a_block_counts_whole_blocks():
    layout = layout_of(make_model(), max_model_len=1000)
    assert layout.request_blocks(1000) == 63
    assert layout.tokens(630) == 10_000


def test_tensor_parallel_splits_kv_heads_until_each_gpu_has_one():
    sizes = {gpus: layout_of(make_model(), tensor_parallel=gpus).stage_block_bytes for gpus in (1, 2, 8, 16)}
    assert sizes == {1: (2_097_152,), 2: (1_048_576,), 8: (262_144,), 16: (262_144,)}


def test_copied_kv_heads_cost_the_replica_more():
    assert token_bytes(make_model(), tensor_parallel=16) == 2 * token_bytes(make_model(), tensor_parallel=8)


def test_pipeline_stages_hold_their_own_layers():
    layout = layout_of(make_model((full(),) * 33), pipeline_parallel=4)
    assert stage_bounds(33, 4) == (0, 8, 16, 25, 33)
    assert layout.stage_block_bytes == (8 * 65_536, 8 * 65_536, 9 * 65_536, 8 * 65_536)
    assert layout.blocks([9 * 65_536 * 10] * 4) == 10


def test_the_fullest_pipeline_stage_limits_the_blocks():
    layout = layout_of(make_model(), pipeline_parallel=2)
    assert layout.blocks([GIB, 2 * GIB]) == layout.blocks([GIB, GIB])


def test_a_latent_is_one_vector_that_no_gpu_shares():
    model = make_model((LatentAttention(latent_dim=576),) * 27)
    assert token_bytes(model) == 27 * 1152
    assert layout_of(model, tensor_parallel=8).stage_block_bytes == layout_of(model).stage_block_bytes


def test_a_sparse_latent_in_8_bits_is_packed_beside_its_index():
    model = make_model((LatentAttention(latent_dim=576, index_dim=128),) * 61)
    assert token_bytes(model) == 61 * (1152 + 132)
    assert token_bytes(model, kv_cache_dtype="fp8") == 61 * (656 + 132)


def test_a_window_keeps_its_tokens_and_those_in_flight():
    layout = layout_of(make_model((sliding(4096),) * 32), max_model_len=32_768, max_num_batched_tokens=2048)
    assert layout.request_blocks(32_768) == -(-(4095 + 2 * 2048) // 16) + 1
    assert layout.sequence_blocks(550) == 35
    assert layout.sequence_blocks(30_000) == 4096 // 16 + 1


def test_windows_beside_full_attention_share_blocks_in_groups_of_one_size():
    layout = layout_of(make_model((sliding(1024),) * 5 + (full(),)))
    assert len(layout.groups) == 6
    assert layout.stage_block_bytes == (16 * 4096,)


def test_nearly_equal_numbers_of_layers_are_padded_rather_than_split():
    layout = layout_of(make_model((sliding(128), full()) * 12 + (full(),)))
    assert [len(group.layers) for group in layout.groups] == [12, 13]


def test_only_full_attention_makes_a_long_sequence_longer():
    model = make_model((sliding(1024), full()) * 16)
    assert token_bytes(model) == 65_536
    assert bytes_per_short_token(model, resolve(model, make_device(), Deployment())) == 131_072


def test_a_model_of_windows_alone_is_charged_before_they_are_full():
    assert token_bytes(make_model((sliding(4096),) * 32)) == 131_072


def test_attentions_blocks_grow_until_a_page_holds_a_state():
    layout = layout_of(make_model((state(), state(), full())))
    state_bytes = 2 * (36_864 + 524_288)
    full_group = next(group for group in layout.groups if group.page.keeps_all)
    assert full_group.page.tokens == -(-state_bytes // (16 * 4096)) * 16
    assert {page.bytes for group in layout.groups for _, page in group.layers} == {full_group.page.bytes}


def test_prefix_caching_keeps_a_second_state():
    model = make_model((state(), full()))
    with_prefixes = layout_of(model, max_model_len=4096).request_blocks(4096)
    assert with_prefixes == layout_of(model, max_model_len=4096, prefix_caching=False).request_blocks(4096) + 1


@pytest.mark.parametrize(("prefixes", "more"), [(True, 1), (False, 0)])
def test_a_checkpoint_of_the_prompt_is_reckoned_with_where_prefixes_are_cached(prefixes: bool, more: int):
    plain, kept = (
        layout_of(make_model((state(checkpoints=count), full())), max_model_len=4096, prefix_caching=prefixes)
        for count in (0, 1)
    )
    assert kept.request_blocks(4096) == plain.request_blocks(4096) + more


def test_states_are_split_over_gpus():
    whole, half = (layout_of(make_model((state(),) * 4), tensor_parallel=gpus) for gpus in (1, 2))
    assert whole.stage_block_bytes == (4 * 2 * 561_152,)
    assert half.stage_block_bytes == (4 * 561_152,)


def test_a_cpu_has_blocks_of_128_tokens_and_latents_of_16():
    assert layout_of(make_model(), cpu()).groups[0].page.tokens == 128
    latent = make_model((LatentAttention(latent_dim=576),) * 4)
    assert layout_of(latent, cpu()).groups[0].page.tokens == 16


def test_a_model_that_keeps_nothing_has_no_groups():
    layout = layout_of(make_model((NoCache(),) * 4))
    assert layout.keeps_nothing
    assert layout.tokens(layout.blocks([GIB])) == 0


def test_the_longest_request_leaves_one_block_unused():
    layout = layout_of(make_model())
    block = layout.stage_block_bytes[0]
    assert layout.longest([11 * block]) == 160
    assert layout.longest([block]) == 0
    assert layout.longest([10**15]) == 131_072


@given(st.integers(1, 1 << 40), st.integers(1, 1 << 30), st.sampled_from([1, 2, 4]))
def test_more_memory_never_holds_fewer_tokens(size: int, more: int, gpus: int):
    model = make_model((sliding(1024), full()) * 4)
    deployment = Deployment(tensor_parallel=gpus, max_model_len=8192)
    less_memory = kv_tokens(model, make_device(), deployment, size)
    assert less_memory <= kv_tokens(model, make_device(), deployment, size + more)


@given(st.integers(1, 100_000), st.integers(1, 32))
def test_pipeline_stages_cover_all_layers_evenly(layers: int, stages: int):
    bounds = stage_bounds(layers, stages)
    sizes = [end - begin for begin, end in pairwise(bounds)]
    assert (bounds[0], bounds[-1]) == (0, layers)
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 131_072))
def test_whatever_is_found_longest_holds_and_one_more_does_not(size: int):
    layout = layout_of(make_model((sliding(1024), full()) * 4))
    memory = [size * layout.stage_block_bytes[0]]
    longest = layout.longest(memory)
    assert longest == 0 or layout.holds(memory, longest)
    assert longest == layout.engine.max_model_len or not layout.holds(memory, longest + 1)
