"""How layers share blocks; vLLM's own answers over thousands of layouts are in tests/vllm/test_plan.py."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.plan.groups import align_states, group_layers
from tuner.plan.pages import Kind, Page


def full(token_bytes: int = 64, heads: int = 1) -> Page:
    return Page(Kind.FULL, 16, token_bytes, shape=(heads, 16, 16))


def window(token_bytes: int = 64, reach: int = 128) -> Page:
    return Page(Kind.SLIDING, 16, token_bytes, reach=reach, shape=(1, 16, 16))


def latent(token_bytes: int = 72) -> Page:
    return Page(Kind.LATENT, 16, token_bytes, shape=(1, 36, 0))


def recurrent(size: int) -> Page:
    return Page(Kind.STATE, 16, 0, state_bytes=size)


def grouped(pages: Sequence[Page]) -> list[list[int]]:
    return [[index for index, _ in group.layers] for group in group_layers(list(enumerate(pages)))]


def test_equal_layers_are_one_group():
    assert grouped([full()] * 3) == [[0, 1, 2]]


def test_full_attention_of_different_sizes_is_one_group_too():
    assert grouped([full(64), full(96, heads=2), latent()]) == [[0, 1, 2]]


def test_groups_take_every_nth_layer_so_that_pipeline_stages_share_them_evenly():
    assert grouped([window(), window(), full()] * 2) == [[0, 3], [1, 4], [2, 5]]


def test_a_smaller_page_gets_more_tokens_in_a_block():
    groups = group_layers(list(enumerate([window(32), full(64)])))
    assert [group.page.tokens for group in groups] == [32, 16]


def test_a_page_that_does_not_divide_is_padded():
    groups = group_layers(list(enumerate([window(48), full(64)])))
    assert [(group.page.tokens, group.page.bytes) for group in groups] == [(16, 1024), (16, 1024)]


def test_a_latent_that_can_be_neither_makes_windows_keep_everything():
    groups = group_layers(list(enumerate([latent(72), window(100)])))
    assert len(groups) == 1
    assert all(page.keeps_all for _, page in groups[0].layers)


def test_windows_of_different_lengths_are_groups_of_their_own():
    assert grouped([window(reach=128), window(reach=256)]) == [[0], [1]]


def test_states_and_attention_end_with_pages_of_one_size():
    aligned = align_states(list(enumerate([recurrent(5000), full(64)])), 16, 16)
    assert [(page.tokens, page.bytes) for _, page in aligned] == [(80, 5120), (80, 5120)]


def test_latents_of_a_hybrid_come_in_blocks_of_128_tokens():
    aligned = align_states(list(enumerate([recurrent(5000), latent(72)])), 16, 16)
    assert {page.tokens for _, page in aligned} == {128}


@pytest.mark.parametrize("pages", [[full()], [recurrent(10)], []])
def test_without_both_kinds_nothing_is_aligned(pages: list[Page]):
    assert [page for _, page in align_states(list(enumerate(pages)), 16, 16)] == pages


PAGES = st.lists(
    st.sampled_from([full(), full(128), window(), window(32), window(48), window(64, 256), recurrent(700)]),
    min_size=1,
    max_size=20,
)


@given(PAGES)
def test_every_layer_is_in_one_group_and_all_pages_of_several_groups_are_equal(pages: list[Page]):
    aligned = align_states(list(enumerate(pages)), 16, 16)
    groups = group_layers(aligned)
    assert sorted(index for group in groups for index, _ in group.layers) == list(range(len(pages)))
    if len(groups) > 1:
        assert len({page.bytes for group in groups for _, page in group.layers}) == 1


@given(PAGES)
def test_no_page_shrinks(pages: list[Page]):
    aligned = align_states(list(enumerate(pages)), 16, 16)
    for group in group_layers(aligned):
        for index, page in group.layers:
            assert page.bytes >= pages[index].bytes
