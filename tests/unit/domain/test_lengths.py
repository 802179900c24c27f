from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tuner.domain.lengths import EmpiricalLength, FixedLength, Length, UniformLength

READER: TypeAdapter[Length] = TypeAdapter(Length)


@pytest.mark.parametrize(
    ("written", "longest"),
    [
        (128, 128),
        ({"type": "fixed", "tokens": 128}, 128),
        ({"tokens": 128, "type": "fixed"}, 128),
        ({"type": "uniform", "low": 16, "high": 256}, 256),
        ({"type": "uniform", "low": 16, "high": 16}, 16),
        ({"type": "normal", "mean": 128, "sd": 16, "high": 512}, 512),
        ({"type": "normal", "mean": 128, "sd": 0, "high": 128}, 128),
        ({"type": "lognormal", "median": 300, "sigma": 0.8, "low": 16, "high": 4096}, 4096),
        ({"type": "empirical", "values": [8, 512, 64]}, 512),
        ({"type": "empirical", "values": [8, 512], "weights": [3, 0.5]}, 512),
    ],
)
def test_a_length_is_a_number_or_a_distribution_and_knows_its_longest(written: object, longest: int):
    length = READER.validate_python(written)
    assert length.longest == longest
    assert READER.validate_json(length.model_dump_json()) == length


@pytest.mark.parametrize(
    "written",
    [
        0,
        -1,
        20_000_000,
        1.5,
        "128",
        True,
        None,
        [128],
        {"tokens": 128},
        {"type": "fixed", "tokens": True},
        {"type": "uniform", "low": 9, "high": 2},
        {"type": "uniform", "high": 2},
        {"type": "uniform", "low": 1.5, "high": 2},
        {"type": "normal", "mean": 128, "sd": -1, "high": 512},
        {"type": "normal", "mean": 1000, "sd": 1, "high": 512},
        {"type": "normal", "mean": 10, "sd": 1, "low": 20, "high": 10},
        {"type": "lognormal", "median": 1, "sigma": 0.5, "low": 16, "high": 4096},
        {"type": "lognormal", "median": 300, "sigma": float("nan"), "high": 4096},
        {"type": "lognormal", "median": float("inf"), "sigma": 1, "high": 4096},
        {"type": "empirical", "values": []},
        {"type": "empirical", "values": [1, 0]},
        {"type": "empirical", "values": [1, 2], "weights": [1]},
        {"type": "empirical", "values": [1, 2], "weights": [1, 0]},
        {"type": "zipf", "tokens": 1},
    ],
)
def test_an_impossible_length_is_refused(written: object):
    with pytest.raises(ValidationError):
        READER.validate_python(written)


@given(st.integers(1, 10_000_000))
def test_a_bare_number_means_always_so_many(tokens: int):
    assert READER.validate_python(tokens) == FixedLength(tokens=tokens)


@given(st.integers(1, 10_000_000), st.integers(1, 10_000_000))
def test_a_range_has_its_ends_in_order(one: int, other: int):
    low, high = sorted((one, other))
    assert UniformLength(type="uniform", low=low, high=high).longest == high
    if low != high:
        with pytest.raises(ValidationError, match="is above high"):
            UniformLength(type="uniform", low=high, high=low)


@given(st.lists(st.integers(1, 100_000), min_size=1))
def test_the_longest_of_listed_values_is_one_of_them(values: list[int]):
    longest = EmpiricalLength(type="empirical", values=tuple(values)).longest
    assert longest in values
    assert all(value <= longest for value in values)


def test_lengths_are_immutable_and_equal_by_value():
    written: dict[str, Any] = {"type": "uniform", "low": 1, "high": 2}
    one, other = READER.validate_python(written), READER.validate_python(written)
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(ValidationError):
        one.high = 3  # pyright: ignore[reportAttributeAccessIssue]
