"""Importances, by configurations whose truth is known."""

from collections.abc import Callable

import numpy as np
import pytest

from tuner.domain.flags import FlagValue
from tuner.domain.space import SearchSpace
from tuner.proposal.importance import Case, usable, weights

SPACE = SearchSpace.model_validate(
    {
        "parameters": {
            "max-num-seqs": {"type": "int", "low": 8, "high": 1024, "log": True},
            "gpu-memory-utilization": {"type": "float", "low": 0.8, "high": 0.96, "step": 0.02},
            "block-size": {"type": "categorical", "choices": [16, 32]},
            "async-scheduling": {"type": "bool", "only_when": "block-size > 16"},
        }
    }
)


def cases(count: int, loss: Callable[[dict[str, FlagValue]], float], seed: int = 0) -> list[Case]:
    rng = np.random.default_rng(seed)
    found: list[Case] = []
    for _ in range(count):
        values: dict[str, FlagValue] = {
            "max-num-seqs": round(2 ** rng.uniform(3, 10)),
            "gpu-memory-utilization": round(0.8 + 0.02 * int(rng.integers(0, 9)), 2),
            "block-size": int(rng.choice([16, 32])),
        }
        if values["block-size"] == 32:
            values["async-scheduling"] = bool(rng.integers(0, 2))
        found.append(Case(values, loss(values) + 0.05 * float(rng.normal())))
    return found


def by_seats(values: dict[str, FlagValue]) -> float:
    return -float(np.log2(float(values["max-num-seqs"])))


def test_what_matters_comes_first_and_is_told_apart_from_chance():
    first, *others = weights(SPACE, cases(80, by_seats))

    assert first.parameter == "max-num-seqs"
    assert first.is_apart
    assert first.share > 0.7
    assert first.lower > first.chance
    assert not any(one.is_apart for one in others)


def test_shares_add_up_and_lie_beside_their_intervals():
    found = weights(SPACE, cases(80, by_seats))

    assert sum(one.share for one in found) == pytest.approx(1.0)
    assert all(0 <= one.lower <= one.upper <= 1 for one in found)
    assert {one.parameter for one in found} == set(SPACE.parameters)


def test_chance_alone_matters_seldom():
    false = sum(any(one.is_apart for one in weights(SPACE, cases(40, lambda _: 0.0, seed))) for seed in range(6))

    assert false <= 2


def test_the_same_seed_says_the_same():
    some = cases(30, by_seats)

    assert weights(SPACE, some) == weights(SPACE, some)


def test_of_very_many_trials_a_part_is_enough():
    assert weights(SPACE, cases(600, by_seats))[0].parameter == "max-num-seqs"


def test_nothing_can_be_said_of_one_trial_or_of_parameters_that_never_change():
    assert weights(SPACE, cases(1, by_seats)) == ()
    assert weights(SPACE, [Case({"block-size": 16}, 1.0), Case({"block-size": 16}, 2.0)]) == ()


@pytest.mark.parametrize(
    "outside", [{"max-num-seqs": 2048}, {"gpu-memory-utilization": 0.81}, {"block-size": 64}, {"max-num-seqs": "auto"}]
)
def test_a_configuration_outside_of_the_space_is_left_out(outside: dict[str, FlagValue]):
    (inside,) = cases(1, by_seats)

    assert usable(SPACE, [inside, Case({**inside.values, **outside}, 1.0)]) == (inside,)
