"""What each request asks for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.lengths import FixedLength, Length, LogNormalLength, NormalLength, UniformLength
from tuner.domain.workload import Workload
from tuner.load.prompts import Prompt, lengths, prompts

RANGES = st.tuples(st.integers(1, 50), st.integers(0, 50)).map(lambda pair: (pair[0], pair[0] + pair[1]))
LENGTHS = st.one_of(
    st.builds(FixedLength, tokens=st.integers(1, 100)),
    RANGES.map(lambda r: UniformLength(type="uniform", low=r[0], high=r[1])),
    RANGES.map(lambda r: NormalLength(type="normal", mean=r[0], sd=30, low=r[0], high=r[1])),
    RANGES.map(lambda r: LogNormalLength(type="lognormal", median=r[1], sigma=2, low=r[0], high=r[1])),
)


def make(workload: Workload, requests: int = 20, seed: int = 1) -> list[Prompt]:
    return list(prompts(workload, requests, seed, first_token=10, vocabulary=500))


@given(inputs=LENGTHS, outputs=LENGTHS, seed=st.integers())
def test_lengths_stay_in_their_range_and_ids_in_the_vocabulary(inputs: Length, outputs: Length, seed: int):
    made = make(Workload(input_tokens=inputs, output_tokens=outputs), seed=seed)
    assert len(made) == 20
    for prompt in made:
        assert getattr(inputs, "low", inputs.longest) <= len(prompt.token_ids) <= inputs.longest
        assert getattr(outputs, "low", outputs.longest) <= prompt.output_tokens <= outputs.longest
        assert all(10 <= token < 500 for token in prompt.token_ids)


def test_a_seed_gives_the_same_prompts_and_another_seed_shares_none():
    workload = Workload(input_tokens=FixedLength(tokens=16), output_tokens=FixedLength(tokens=8))
    first, again, other = make(workload), make(workload), make(workload, seed=2)
    assert first == again
    assert not {prompt.token_ids for prompt in first} & {prompt.token_ids for prompt in other}
    assert len({prompt.token_ids[:4] for prompt in first}) == len(first)


def test_output_lengths_do_not_depend_on_how_input_lengths_are_drawn():
    spread = UniformLength(type="uniform", low=1, high=99)
    fixed = make(Workload(input_tokens=FixedLength(tokens=5), output_tokens=spread))
    drawn = make(Workload(input_tokens=spread, output_tokens=spread))
    assert [prompt.output_tokens for prompt in fixed] == [prompt.output_tokens for prompt in drawn]
    assert [prompt.output_tokens for prompt in drawn] != [len(prompt.token_ids) for prompt in drawn]


@pytest.mark.parametrize(
    ("length", "mean", "median"),
    [
        (UniformLength(type="uniform", low=10, high=30), 20, 20),
        (NormalLength(type="normal", mean=200, sd=20, high=1000), 200, 200),
        (LogNormalLength(type="lognormal", median=100, sigma=0.5, high=100_000), 100 * np.exp(0.125), 100),
    ],
)
def test_a_distribution_has_its_moments(length: Length, mean: float, median: float):
    drawn = lengths(length, 100_000, np.random.default_rng(0))
    assert abs(drawn.mean() / mean - 1) < 0.01
    assert abs(np.median(drawn) / median - 1) < 0.02


def test_an_empty_range_of_tokens_is_refused():
    with pytest.raises(ValueError, match="no token ids"):
        list(prompts(Workload(), 1, 0, first_token=5, vocabulary=5))
