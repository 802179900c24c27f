"""What refutes a configuration: the space's constraints, and vLLM's own static rules between flags.

Owns those rules, as data in the language of a space's constraints. What only the device or the model can tell (memory,
heads) is not here. Pure.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tuner.domain.expression import expression
from tuner.domain.flags import Flags
from tuner.domain.space import SearchSpace


class Rule(NamedTuple):
    """A rule of vLLM's own: it refuses to start where the expression is false.

    An expression that reads an omitted flag holds, because the flag's default is the engine's to choose.
    """

    expression: str
    reason: str
    since: tuple[int, ...] = (0,)
    """The first vLLM version that has the rule."""
    until: tuple[int, ...] | None = None
    """The first vLLM version that no longer has it."""


RULES = (
    Rule(
        "max-num-batched-tokens >= max-num-seqs",
        "a step can't hold one token of each sequence: max-num-batched-tokens is below max-num-seqs",
    ),
    Rule(
        "enable-chunked-prefill or max-num-batched-tokens >= max-model-len or max-model-len == -1",
        "without chunked prefill a prompt must fit into one step: max-num-batched-tokens is below max-model-len",
    ),
    Rule(
        "gpu-memory-utilization > 0 and gpu-memory-utilization <= 1",
        "gpu-memory-utilization is a fraction above 0 and at most 1",
    ),
    Rule(
        "max-num-active-seqs <= max-num-seqs",
        "max-num-active-seqs is above max-num-seqs",
        since=(0, 32),  # the version it was seen in; an older engine speaks for itself
    ),
    Rule(
        "long-prefill-token-threshold <= max-model-len or max-model-len == -1",
        "long-prefill-token-threshold is above max-model-len",
    ),
    Rule("watermark >= 0 and watermark < 1", "watermark is a fraction of at least 0 and below 1"),
    Rule("max-num-seqs >= 1", "max-num-seqs must be at least 1"),
    Rule("max-num-batched-tokens >= 1", "max-num-batched-tokens must be at least 1"),
    Rule("max-num-active-seqs >= 1", "max-num-active-seqs must be at least 1"),
    Rule("max-model-len >= 1 or max-model-len == -1", "max-model-len must be at least 1"),
    Rule("long-prefill-token-threshold >= 0", "long-prefill-token-threshold must not be negative"),
    Rule("stream-interval >= 1", "stream-interval must be at least 1"),
    Rule("block-size >= 1", "block-size must be at least 1"),
    Rule("optimization-level in [0, 1, 2, 3]", "optimization-level is 0, 1, 2 or 3"),
)
"""vLLM's checks in config/scheduler.py and config/cache.py, each tried on 0.32."""


def refutations(space: SearchSpace, flags: Flags, fixed: Flags, *, version: str = "") -> Iterator[str]:
    """Yield every sentence that refutes a configuration, the space's constraints first.

    Args:
        space: its constraints read the proposed flags only.
        flags: the proposed flags.
        fixed: the flags of every launch; proposed ones go before them.
        version: the engine's version (`0.32.0`); without it, every rule counts.
    """
    yield from _violated(space, flags)
    yield from _broken({**fixed, **flags}, _parsed(version))


def _violated(space: SearchSpace, flags: Flags) -> Iterator[str]:
    for text in space.constraints:
        try:
            if not expression(text).holds(flags):
                yield f"the space's constraint {text} is violated"
        except ValueError as error:
            yield f"the space's constraint {error}"


def _broken(flags: Flags, version: tuple[int, ...] | None) -> Iterator[str]:
    for rule in RULES:
        if _applies(rule, version) and not _holds(rule, flags):
            yield f"vLLM refuses it: {rule.reason}"


def _holds(rule: Rule, flags: Flags) -> bool:
    try:
        return expression(rule.expression).holds(flags)
    except ValueError:
        return True  # a value such as `8k` or `auto`, which only vLLM reads


def _applies(rule: Rule, version: tuple[int, ...] | None) -> bool:
    return version is None or (rule.since <= version and (rule.until is None or version < rule.until))


def _parsed(version: str) -> tuple[int, ...] | None:
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else None
