"""Owns how layers share blocks: vLLM's KV cache groups. Pure.

A request takes blocks from one pool, for each group by itself; a block holds one page of every layer of its group, and
all groups' blocks are of one size. Follows `get_kv_cache_groups` of vLLM 0.32 (`vllm/v1/core/kv_cache_utils.py`) with
the layer-outermost layouts that FlashAttention, FlashInfer, Triton and the CPU use.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from tuner.plan.pages import Kind, Page

Placed = tuple[int, Page]
"""A layer's index and its page."""
_NEARLY_EQUAL = 1.5
"""Up to this ratio of layer counts, small groups are padded to the large ones rather than large ones split."""
_LATENT_BLOCK = 128


@dataclass(frozen=True, slots=True)
class Group:
    """Layers with one block table."""

    layers: tuple[Placed, ...]

    @property
    def page(self) -> Page:
        """The page that stands for all: they keep equally many tokens."""
        return self.layers[0][1]


def group_layers(layers: Sequence[Placed]) -> tuple[Group, ...]:
    """Return the groups of a model's layers; none for a model that keeps nothing."""
    if not layers:
        return ()
    if _one_kind([page for _, page in layers]):
        return (Group(tuple(layers)),)
    return _uniform_groups(_equal_pages(layers))


def align_states(layers: Sequence[Placed], block_size: int, kernel_block: int) -> list[Placed]:
    """Enlarge attention's blocks until a page holds a state, and pad the states to it.

    Only where both occur (`Platform._align_hybrid_block_size`). Without a state the layers are as they were.
    """
    states = [page.state_bytes for _, page in layers if page.kind is Kind.STATE]
    attention = [page for _, page in layers if page.kind is not Kind.STATE]
    if not states or not attention or not max(states):
        return list(layers)
    step = max(kernel_block, block_size, _LATENT_BLOCK if attention[0].kind is Kind.LATENT else 0)
    token_bytes = attention[0].token_bytes
    enough = step * ceil(max(states) / (step * token_bytes))
    tokens = max(block_size, kernel_block * ceil(enough / kernel_block))
    return [(index, _aligned(page, tokens, tokens * token_bytes)) for index, page in layers]


def _aligned(page: Page, tokens: int, page_bytes: int) -> Page:
    if page.kind is not Kind.STATE:
        return replace(page, tokens=tokens)
    return replace(page, tokens=tokens, padded=None if page.state_bytes == page_bytes else page_bytes)


def _one_kind(pages: Sequence[Page]) -> bool:
    """Whether all layers need equally many blocks, so that one table serves them."""
    if len(set(pages)) == 1:
        return True
    first = pages[0]
    if any(page.tokens != first.tokens for page in pages):
        return False
    if first.keeps_all:
        return all(page.keeps_all for page in pages)
    return all(_alike(first, page) for page in pages)


def _alike(first: Page, page: Page) -> bool:
    same_bytes = first.kind is not Kind.STATE or page.bytes == first.bytes
    same_needs = page.reach == first.reach and page.checkpoints == first.checkpoints
    return page.kind is first.kind and same_needs and same_bytes


def _equal_pages(layers: Sequence[Placed]) -> list[Placed]:
    """Bring every page to the size of the largest: by more tokens in a block, else by padding."""
    largest = max(page.bytes for _, page in layers)
    resized = [(index, _resized(page, largest)) for index, page in layers]
    if any(page is None for _, page in resized):
        return _all_kept(layers)
    return [(index, page) for index, page in resized if page is not None]


def _resized(page: Page, size: int) -> Page | None:
    """Return the page at the size, or None where it can't take it: rows of latents don't bear padding."""
    if page.bytes == size:
        return page
    if page.kind is not Kind.STATE and size % page.bytes == 0:
        return replace(page, tokens=page.tokens * (size // page.bytes))
    return None if page.kind is Kind.LATENT else replace(page, padded=size)


def _all_kept(layers: Sequence[Placed]) -> list[Placed]:
    """Allocate windows like full attention, which vLLM falls back to where pages can't be made equal."""
    tokens = next(page.tokens for _, page in layers if page.keeps_all)
    return [
        (index, replace(page, kind=Kind.FULL, tokens=tokens, reach=0) if page.kind is Kind.SLIDING else page)
        for index, page in layers
    ]


def _uniform_groups(layers: Sequence[Placed]) -> tuple[Group, ...]:
    """Split the layers of each kind into groups of one size (`_get_kv_cache_groups_uniform_page_size`)."""
    if _one_kind([page for _, page in layers]):
        return (Group(tuple(layers)),)
    kinds: defaultdict[Page, list[Placed]] = defaultdict(list)
    for placed in layers:
        kinds[placed[1]].append(placed)
    counts = [len(members) for members in kinds.values()]
    size = max(counts) if max(counts) < _NEARLY_EQUAL * min(counts) else min(counts)
    groups: list[Group] = []
    for members in kinds.values():
        number = ceil(len(members) / size)
        groups.extend(Group(tuple(members[start::number])) for start in range(number))
    return tuple(groups)
