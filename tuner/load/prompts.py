"""Owns what each request of a load point asks for: prompt token ids and output length. Builds no HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.domain.lengths import (
    EmpiricalLength,
    FixedLength,
    Length,
    LogNormalLength,
    NormalLength,
    UniformLength,
)
from tuner.domain.workload import Workload
from tuner.load.seeds import Purpose, generator


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request's content."""

    token_ids: tuple[int, ...]
    output_tokens: int
    """Completion tokens to ask for."""


def prompts(workload: Workload, requests: int, seed: int, *, first_token: int, vocabulary: int) -> Iterator[Prompt]:
    """Yield the content of every request, in order of sending.

    Token ids are drawn uniformly from [first_token, vocabulary): lengths are exact without a tokenizer, and two random
    prompts share no prefix worth caching.

    Raises:
        ValueError: the range of token ids is empty.
    """
    if first_token >= vocabulary:
        raise ValueError(f"no token ids between {first_token} and {vocabulary}")
    inputs = lengths(workload.input_tokens, requests, generator(seed, Purpose.INPUT_LENGTHS))
    outputs = lengths(workload.output_tokens, requests, generator(seed, Purpose.OUTPUT_LENGTHS))
    draw = generator(seed, Purpose.PROMPTS)
    for input_tokens, output_tokens in zip(inputs.tolist(), outputs.tolist(), strict=True):
        token_ids = draw.integers(first_token, vocabulary, size=(input_tokens,), dtype=np.int64)
        yield Prompt(tuple(token_ids.tolist()), output_tokens)


def lengths(length: Length, count: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Return `count` lengths in tokens, shape (count,). Normal and log-normal ones are rounded, then clipped."""
    match length:
        case FixedLength(tokens=tokens):
            return np.full(count, tokens, dtype=np.int64)
        case UniformLength(low=low, high=high):
            return draw.integers(low, high, count, endpoint=True)
        case NormalLength(mean=mean, sd=sd, low=low, high=high):
            return _whole(draw.normal(mean, sd, count), low, high)
        case LogNormalLength(median=median, sigma=sigma, low=low, high=high):
            return _whole(draw.lognormal(np.log(median), sigma, count), low, high)
        case EmpiricalLength(values=values, weights=weights):
            share = np.array(weights or [1.0] * len(values))
            return draw.choice(np.array(values, dtype=np.int64), count, p=share / share.sum())


def _whole(values: NDArray[np.float64], low: int, high: int) -> NDArray[np.int64]:
    return np.clip(np.rint(values), low, high).astype(np.int64)
