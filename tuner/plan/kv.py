"""Owns the KV cache's arithmetic: bytes of a block, blocks of a request, and the tokens that vLLM logs. Pure.

`kv_tokens` is the N of vLLM's `KV cache size: N tokens`. Since windows and states cost a long request less than its
tokens, that figure is the concurrency of requests of the maximal length times that length
(`get_kv_cache_capacity` of vLLM 0.32), not bytes over bytes of a token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from tuner.domain.device import Device
from tuner.domain.model import ModelShape
from tuner.domain.plan import Deployment
from tuner.plan.defaults import Engine, resolve
from tuner.plan.groups import Group, align_states, group_layers
from tuner.plan.pages import Kind, Page, layer_pages

_STATES_WITH_PREFIXES, _STATES_WITHOUT = 2, 1
"""With prefix caching a request holds its running state and the last one at a block's end."""


@dataclass(frozen=True, slots=True)
class CacheLayout:
    """How a model's KV cache lies on the GPUs of one replica."""

    groups: tuple[Group, ...]
    stage_block_bytes: tuple[int, ...]
    """Bytes of a block on one GPU, for each pipeline stage."""
    engine: Engine

    @property
    def keeps_nothing(self) -> bool:
        """Whether no layer keeps anything of a sequence."""
        return not self.groups

    @property
    def block_bytes(self) -> int:
        """Bytes of a block on all GPUs of the replica together."""
        return sum(self.stage_block_bytes) * self.engine.tensor_parallel

    def blocks(self, stage_bytes: Sequence[int]) -> int:
        """Return how many blocks fit, given one GPU's bytes for the cache in each stage: the least of the stages."""
        pairs = zip(stage_bytes, self.stage_block_bytes, strict=True)
        return min((max(size, 0) // block for size, block in pairs if block), default=0)

    def request_blocks(self, length: int) -> int:
        """Return the blocks that vLLM reckons for one request of a maximal length."""
        in_flight = self.engine.tokens_in_flight
        return sum(self._group_blocks(group.page, length, in_flight) for group in self.groups)

    def sequence_blocks(self, tokens: int) -> int:
        """Return the blocks that a sequence of so many tokens holds while it decodes."""
        return sum(
            min(ceil(tokens / group.page.tokens), self._group_blocks(group.page, tokens, 1))
            if group.page.kind is not Kind.STATE
            else self._states()
            for group in self.groups
        )

    def tokens(self, blocks: int) -> int:
        """Return the tokens that vLLM logs for so many blocks."""
        length = self.engine.max_model_len
        needed = self.request_blocks(length)
        return int(blocks / needed * length) if needed else 0

    def holds(self, stage_bytes: Sequence[int], length: int) -> bool:
        """Return whether vLLM would start: one request of the length fits, beside a block that it holds back."""
        needed = self.request_blocks(length) + 1
        return all(needed * block <= size for size, block in zip(stage_bytes, self.stage_block_bytes, strict=True))

    def longest(self, stage_bytes: Sequence[int]) -> int:
        """Return the longest request that would fit, at most `max_model_len`; 0 where not one token does."""
        return _largest(self.engine.max_model_len, lambda length: self.holds(stage_bytes, length))

    def _group_blocks(self, page: Page, length: int, in_flight: int) -> int:
        match page.kind:
            case Kind.FULL | Kind.LATENT:
                return ceil(length / page.tokens)
            case Kind.SLIDING:
                # A window needn't begin at a block's beginning.
                return ceil(min(page.reach - 1 + in_flight, length) / page.tokens) + 1
            case Kind.CHUNKED:
                return ceil(min(page.reach + in_flight, length) / page.tokens)
            case Kind.STATE:
                return self._states() + page.checkpoints

    def _states(self) -> int:
        return _STATES_WITH_PREFIXES if self.engine.prefix_caching else _STATES_WITHOUT


def cache_layout(model: ModelShape, engine: Engine) -> CacheLayout:
    """Return the layout of a model's cache.

    Raises:
        InputError: a KV cache dtype whose size is not known.
    """
    placed = align_states(layer_pages(model, engine), engine.block_size, engine.kernel_block)
    groups = group_layers(placed)
    bounds = stage_bounds(len(model.layers), engine.pipeline_parallel)
    stages = tuple(_stage_block_bytes(groups, begin, end) for begin, end in pairwise(bounds))
    return CacheLayout(groups=groups, stage_block_bytes=stages, engine=engine)


def stage_bounds(layers: int, stages: int) -> tuple[int, ...]:
    """Return where each pipeline stage begins, and the end: even, what is left over from the last but one backwards.

    Follows `get_pp_indices` of vLLM.
    """
    sizes = [layers // stages] * stages
    for place in range(2, layers % stages + 2):
        sizes[-place] += 1
    return tuple(sum(sizes[:stage]) for stage in range(stages + 1))


def kv_tokens(model: ModelShape, device: Device, deployment: Deployment, bytes_per_gpu: int) -> int:
    """Return the tokens that vLLM logs when each GPU has so many bytes for the cache.

    Raises:
        InputError: a KV cache dtype whose size is not known.
    """
    layout = cache_layout(model, resolve(model, device, deployment))
    return layout.tokens(layout.blocks([bytes_per_gpu] * deployment.pipeline_parallel))


def bytes_per_token(model: ModelShape, engine: Engine) -> int:
    """Return what one more token of a long sequence costs on all GPUs of a replica together.

    Windows that are full and states cost nothing more. A model that has nothing else is charged what a token costs
    before its windows are full.
    """
    pages = [page for _, page in layer_pages(model, engine)]
    lasting = [page for page in pages if page.keeps_all] or pages
    return sum(page.token_bytes for page in lasting) * engine.tensor_parallel


def bytes_per_short_token(model: ModelShape, engine: Engine) -> int:
    """Return what one more token costs on all GPUs together while it is within every window."""
    return sum(page.token_bytes for _, page in layer_pages(model, engine)) * engine.tensor_parallel


def _stage_block_bytes(groups: Sequence[Group], begin: int, end: int) -> int:
    sizes = (sum(page.bytes for index, page in group.layers if begin <= index < end) for group in groups)
    return max(sizes, default=0)


def _largest(most: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` that holds, 0 where 1 does not; what holds, holds for all below."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
