from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.space import FloatParameter, IntParameter, SearchSpace
from tuner.space.sampling import corners, draw, feasible_samples, share_of, value_at


def _space(parameters: dict[str, Any], *constraints: str) -> SearchSpace:
    return SearchSpace.model_validate({"parameters": parameters, "constraints": constraints})


SMALL = {"type": "int", "low": 1, "high": 64}
CONDITIONAL = _space(
    {
        "enforce-eager": {"type": "bool"},
        "optimization-level": {"type": "categorical", "choices": [1, 2], "only_when": "not enforce-eager"},
        "watermark": {"type": "float", "low": 0.0, "high": 0.1, "step": 0.02},
    }
)


def test_a_seed_gives_the_same_configurations_again() -> None:
    samples = feasible_samples(CONDITIONAL, {}, seed=7, count=5)
    assert samples == feasible_samples(CONDITIONAL, {}, seed=7, count=5)
    assert samples != feasible_samples(CONDITIONAL, {}, seed=8, count=5)
    assert len(samples) == 5


def test_samples_satisfy_every_constraint_and_leave_inactive_flags_out() -> None:
    space = _space(
        {"max-num-seqs": SMALL, "max-num-batched-tokens": SMALL},
        "max-num-batched-tokens >= max-num-seqs",
    )
    assert all(not space.violated(flags) for flags in feasible_samples(space, {}, seed=0, count=50))
    for flags in feasible_samples(CONDITIONAL, {}, seed=0, count=50):
        assert ("optimization-level" in flags) is (not flags["enforce-eager"])


def test_an_impossible_space_brings_no_samples() -> None:
    assert feasible_samples(_space({"x": {"type": "bool"}}, "x and not x"), {}, seed=0, count=3) == ()


def test_corners_are_every_combination_of_ends() -> None:
    found = [tuple(flags.values()) for flags in corners(CONDITIONAL)]
    assert set(found) == {(False, 1, 0.0), (False, 1, 0.1), (False, 2, 0.0), (False, 2, 0.1), (True, 0.0), (True, 0.1)}
    assert found[0] == (False, 1, 0.0)


@given(st.integers(-100, 100), st.integers(0, 50), st.integers(1, 7), st.floats(0, 1))
def test_a_whole_number_lies_on_a_step_within_its_range(low: int, steps: int, step: int, share: float) -> None:
    parameter = IntParameter(type="int", low=low, high=low + steps * step, step=step)
    value = value_at(parameter, share)
    assert isinstance(value, int)
    assert value in range(parameter.low, parameter.high + 1, step)


@given(st.integers(1, 100), st.integers(0, 10_000), st.floats(0, 1))
def test_a_logarithmic_whole_number_lies_within_its_range(low: int, more: int, share: float) -> None:
    parameter = IntParameter(type="int", low=low, high=low + more, log=True)
    assert parameter.low <= value_at(parameter, share) <= parameter.high  # pyright: ignore[reportOperatorIssue]
    assert value_at(parameter, 0) == parameter.low
    assert value_at(parameter, 1) == parameter.high


@pytest.mark.parametrize("step", [None, 0.05])
def test_a_real_number_lies_within_its_range_and_on_a_clean_step(step: float | None) -> None:
    parameter = FloatParameter(type="float", low=0.1, high=0.4, step=step)
    values = [value_at(parameter, share / 1000) for share in range(1001)]
    assert (min(values), max(values)) == (0.1, 0.4)  # pyright: ignore[reportArgumentType]
    if step is not None:
        assert sorted(set(values)) == [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4]  # pyright: ignore[reportArgumentType]


def test_a_logarithmic_scale_gives_each_doubling_the_same_weight() -> None:
    space = _space({"max-num-seqs": {"type": "int", "low": 1, "high": 64, "log": True}})
    random = Random(0)  # noqa: S311
    values = [draw(space, random)["max-num-seqs"] for _ in range(6000)]
    low = [value for value in values if isinstance(value, int) and value <= 8]
    assert 0.45 < len(low) / len(values) < 0.65


def test_corners_of_a_large_space_come_one_by_one() -> None:
    many = _space({f"x{n}": {"type": "bool"} for n in range(60)})
    assert len(list(islice(corners(many), 3))) == 3


@given(st.floats(0, 1), st.booleans())
def test_a_share_becomes_a_value_and_the_value_that_share_again(share: float, log: bool) -> None:
    parameter = FloatParameter(type="float", low=0.5, high=64.0, log=log)
    assert share_of(parameter, float(value_at(parameter, share))) == pytest.approx(share, abs=1e-9)


def test_values_outside_of_a_range_have_shares_outside_and_a_single_value_stands_in_the_middle() -> None:
    parameter = IntParameter(type="int", low=8, high=128, log=True)
    assert share_of(parameter, 256) == pytest.approx(1.25)
    assert share_of(parameter, 0) < -1
    assert share_of(IntParameter(type="int", low=8, high=8), 8) == 0.5
