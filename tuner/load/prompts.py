"""Owns what prompts are made of: token ids, words, lengths. Builds no HTTP and knows no order of calls.

Token ids are drawn uniformly: lengths are exact without a tokenizer, and two random prompts share no prefix worth
caching. Words are common and short, so that most tokenizers need about one token for each.
"""

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

Content = tuple[int, ...] | str
"""Token ids, or text."""

_WORDS = tuple(
    """
    the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one
    you were all her she there would their we him been has when who will no more if out so up said what its about than
    into them can only other time new some could these two may first then do any like my now over such our man me even
    most made after also did many off before must well back through years where much your way down should because long
    each just state those people too little good world still see men work very make here old life both between under
    last never day same another know while might us great year since against go came right used take three states
    """.split()  # noqa: SIM905  # a list of one word a line is no easier to read
)


class Source:
    """Draws contents of one kind: ids between two bounds, or words."""

    def __init__(self, *, first_token: int, vocabulary: int, words: bool) -> None:
        """Draw ids from [first_token, vocabulary), or words.

        Raises:
            ValueError: the range of token ids is empty.
        """
        if first_token >= vocabulary:
            raise ValueError(f"no token ids between {first_token} and {vocabulary}")
        self._range = (first_token, vocabulary)
        self._words = words

    def draw(self, draw: np.random.Generator, tokens: int) -> Content:
        """Return contents of so many tokens; of so many words where it draws words."""
        if self._words:
            chosen: list[int] = draw.integers(0, len(_WORDS), tokens).tolist()
            return " ".join(_WORDS[index] for index in chosen)
        return tuple(draw.integers(*self._range, size=(tokens,), dtype=np.int64).tolist())


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
