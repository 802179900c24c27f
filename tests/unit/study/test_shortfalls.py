"""What a budget leaves out."""

from typing import Any

import pytest

from tests.fakes.builders import make_spec
from tuner.study.shortfalls import configurations, shortfalls


def told(launches: float | None, *, rate: float = 50.0, done: int = 0, **changes: Any) -> str:
    return "\n".join(shortfalls(make_spec(**changes), rate=rate, trial_s=600.0, done=done, launches=launches))


def test_a_budget_that_is_enough_leaves_nothing_out():
    assert told(60) == ""


def test_trials_that_do_not_fit_are_counted_with_the_time_they_would_take():
    assert "20 of 60 trials: the 55 still to come would take 9.2 h" in told(35, done=5, budget={"trials": 60})


def test_a_slow_rate_makes_a_wide_interval_and_says_what_would_do():
    text = told(60, rate=2.0)
    assert "capacities to ±5%" in text
    assert "±9% at best" in text
    assert "36 min a trial" in text
    assert told(60, rate=2.0, load={"time_budget": None}) == ""


@pytest.mark.parametrize(
    ("launches", "said"),
    [
        (2, "2 of the 4 given configurations"),
        (12, "the sampler's model"),
        (20, "a thorough search: 5 trials by the sampler's model for 2 parameters, where 10"),
        (40, ""),
    ],
)
def test_few_trials_leave_out_candidates_then_the_sampler(launches: int, said: str):
    candidates = ["--max-num-seqs 1", "--max-num-seqs 2", "--max-num-seqs 3"]
    text = told(launches, candidates=candidates)
    assert said in text
    assert bool(text) == bool(said)


def test_a_space_within_sight_is_told_and_a_vast_one_is_not():
    space = {"parameters": {"max-num-seqs": {"type": "int", "low": 1, "high": 200}}}
    assert "140 of the space's 200 configurations" in told(60, search_space=space)
    assert told(60) == ""


@pytest.mark.parametrize(
    ("parameter", "size"),
    [
        ({"type": "bool"}, 2),
        ({"type": "categorical", "choices": ["a", "b", "c"]}, 3),
        ({"type": "int", "low": 16, "high": 64, "step": 16}, 4),
        ({"type": "float", "low": 0.5, "high": 0.9, "step": 0.1}, 5),
        ({"type": "float", "low": 0.5, "high": 0.9}, None),
    ],
)
def test_a_space_is_as_large_as_its_values(parameter: dict[str, Any], size: int | None):
    one = make_spec(search_space={"parameters": {"max-num-seqs": parameter}})
    assert configurations(one) == size
    two = make_spec(search_space={"parameters": {"max-num-seqs": parameter, "block-size": {"type": "bool"}}})
    assert configurations(two) == (None if size is None else 2 * size)
