"""What refutes a configuration: the space's constraints, and vLLM's own static rules between flags.

Owns those rules, as data in the language of a space's constraints. What memory allows is arithmetic (`tuner.plan`) or
learned (`tuner.space.learned`). What a rule needs to know of the model or the machine is a fact with a name:
`model.heads` (query heads), `model.max_length` (tokens), `device.gpus` (that the engine sees). Pure.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tuner.domain.expression import expression
from tuner.domain.flags import Flags
from tuner.domain.space import SearchSpace


class Rule(NamedTuple):
    """A rule of vLLM's own: it refuses to start where the expression is false.

    An expression that reads an omitted flag holds, because the flag's default is the engine's to choose; so does one
    that reads a fact which nobody knows.
    """

    expression: str
    reason: str
    since: tuple[int, ...] = (0,)
    """The first vLLM version that has the rule."""
    until: tuple[int, ...] | None = None
    """The first vLLM version that no longer has it."""


_SEEN = (0, 32)
"""The version a rule was seen in; an older engine speaks for itself."""

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
        since=_SEEN,
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
    Rule("max-num-scheduled-tokens >= 1", "max-num-scheduled-tokens must be at least 1", since=_SEEN),
    Rule("max-num-queued-reqs >= 0", "max-num-queued-reqs must not be negative", since=_SEEN),
    Rule("max-num-queued-tokens >= 0", "max-num-queued-tokens must not be negative", since=_SEEN),
    Rule("prefill-schedule-interval >= 1", "prefill-schedule-interval must be at least 1", since=_SEEN),
    Rule("prefix-match-unit >= 1", "prefix-match-unit must be at least 1", since=_SEEN),
    Rule("prefix-cache-retention-interval >= 0", "prefix-cache-retention-interval must not be negative", since=_SEEN),
    Rule("cpu-offload-gb >= 0", "cpu-offload-gb must not be negative"),
    Rule(
        "enable-prefix-caching or mamba-block-size < 1",
        "mamba-block-size can be set only with enable-prefix-caching",
        since=_SEEN,
    ),
    Rule("tensor-parallel-size >= 1", "tensor-parallel-size must be at least 1"),
    Rule("pipeline-parallel-size >= 1", "pipeline-parallel-size must be at least 1"),
    Rule("data-parallel-size >= 1", "data-parallel-size must be at least 1"),
    Rule(
        "data-parallel-size-local <= data-parallel-size",
        "data-parallel-size-local is above data-parallel-size",
        since=_SEEN,
    ),
    Rule(
        "tensor-parallel-size % decode-context-parallel-size == 0",
        "decode-context-parallel-size does not divide tensor-parallel-size",
        since=_SEEN,
    ),
    Rule(
        "model.heads % tensor-parallel-size == 0",
        "tensor-parallel-size does not divide the model's query heads",
    ),
    Rule(
        "tensor-parallel-size <= device.gpus",
        "tensor-parallel-size is above the number of GPUs",
    ),
    Rule(
        "tensor-parallel-size * pipeline-parallel-size <= device.gpus",
        "tensor-parallel-size times pipeline-parallel-size is above the number of GPUs",
    ),
    Rule("max-loras >= 1", "max-loras must be at least 1"),
    Rule("max-cpu-loras >= max-loras", "max-cpu-loras is below max-loras"),
    Rule("speculative-config.num_speculative_tokens >= 1", "num_speculative_tokens must be at least 1"),
    Rule(
        "speculative-config.prompt_lookup_min <= speculative-config.prompt_lookup_max",
        "prompt_lookup_min is above prompt_lookup_max",
    ),
    Rule(
        "not async-scheduling or speculative-config.method not in ['ngram', 'medusa', 'mlp_speculator', 'suffix']",
        "async-scheduling does not go with this method of speculative decoding",
        since=_SEEN,
    ),
    Rule(
        "not enable-lora or max-num-batched-tokens >= max-num-seqs * (speculative-config.num_speculative_tokens + 1)",
        "with LoRA a step must hold every sequence's draft tokens: max-num-batched-tokens is below max-num-seqs times "
        "(num_speculative_tokens + 1)",
        since=_SEEN,
    ),
)
"""vLLM's checks in its config package (scheduler, cache, parallel, model, lora, speculative, vllm), each tried on 0.32;
those that count GPUs are read in its source."""


def refutations(
    space: SearchSpace, flags: Flags, fixed: Flags, *, version: str = "", facts: Flags | None = None
) -> Iterator[str]:
    """Yield every sentence that refutes a configuration, the space's constraints first.

    Args:
        space: its constraints read the proposed flags only.
        flags: the proposed flags.
        fixed: the flags of every launch; proposed ones go before them.
        version: the engine's version (`0.32.0`); without it, every rule counts.
        facts: of the model and the machine, by name.
    """
    yield from _violated(space, flags)
    yield from _broken({**(facts or {}), **fixed, **flags}, _parsed(version))


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
