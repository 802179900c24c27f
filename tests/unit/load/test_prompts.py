"""What prompts are made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.lengths import EmpiricalLength, FixedLength, Length, LogNormalLength, NormalLength, UniformLength
from tuner.load.prompts import Source, lengths

RANGES = st.tuples(st.integers(1, 50), st.integers(0, 50)).map(lambda pair: (pair[0], pair[0] + pair[1]))
LENGTHS = st.one_of(
    st.builds(FixedLength, tokens=st.integers(1, 100)),
    RANGES.map(lambda r: UniformLength(type="uniform", low=r[0], high=r[1])),
    RANGES.map(lambda r: NormalLength(type="normal", mean=r[0], sd=30, low=r[0], high=r[1])),
    RANGES.map(lambda r: LogNormalLength(type="lognormal", median=r[1], sigma=2, low=r[0], high=r[1])),
    st.lists(st.integers(1, 100), min_size=1).map(lambda v: EmpiricalLength(type="empirical", values=tuple(v))),
)


@given(length=LENGTHS, seed=st.integers(0, 2**32))
def test_lengths_stay_in_their_range(length: Length, seed: int):
    drawn = lengths(length, 20, np.random.default_rng(seed)).tolist()
    assert len(drawn) == 20
    assert all(getattr(length, "low", 1) <= tokens <= length.longest for tokens in drawn)


@pytest.mark.parametrize(
    ("length", "mean", "median"),
    [
        (UniformLength(type="uniform", low=10, high=30), 20, 20),
        (NormalLength(type="normal", mean=200, sd=20, high=1000), 200, 200),
        (LogNormalLength(type="lognormal", median=100, sigma=0.5, high=100_000), 100 * np.exp(0.125), 100),
        (EmpiricalLength(type="empirical", values=(10, 50), weights=(3, 1)), 20, 10),
    ],
)
def test_a_distribution_has_its_moments(length: Length, mean: float, median: float):
    drawn = lengths(length, 100_000, np.random.default_rng(0))
    assert abs(drawn.mean() / mean - 1) < 0.01
    assert abs(np.median(drawn) / median - 1) < 0.02


@given(tokens=st.integers(1, 200), seed=st.integers(0, 2**32))
def test_token_ids_come_from_their_range(tokens: int, seed: int):
    drawn = Source(first_token=10, vocabulary=500, words=False).draw(np.random.default_rng(seed), tokens)
    assert len(drawn) == tokens
    assert all(isinstance(token, int) and 10 <= token < 500 for token in drawn)


def test_words_are_counted_like_tokens():
    drawn = Source(first_token=0, vocabulary=2, words=True).draw(np.random.default_rng(0), 12)
    assert isinstance(drawn, str)
    assert len(drawn.split()) == 12


def test_an_empty_range_of_tokens_is_refused():
    with pytest.raises(ValueError, match="no token ids"):
        Source(first_token=5, vocabulary=5, words=False)
