"""Interactions, by configurations whose truth is known."""

from collections.abc import Callable

import numpy as np
import pytest

from tuner.analysis.interaction import interactions
from tuner.domain.flags import FlagValue

NAMES = ("seats", "budget", "kind")
Values = dict[str, FlagValue]


def draw(count: int, log_figure: Callable[[Values], float], seed: int = 0) -> tuple[list[Values], list[float]]:
    rng = np.random.default_rng(seed)
    values: list[Values] = [
        {"seats": float(rng.uniform()), "budget": float(rng.uniform()), "kind": str(rng.choice(["a", "b"]))}
        for _ in range(count)
    ]
    return values, [float(np.exp(log_figure(each) + 0.1 * rng.normal())) for each in values]


def crossed(values: Values) -> float:
    return 4 * (float(values["seats"]) - 0.5) * (float(values["budget"]) - 0.5)


def added(values: Values) -> float:
    return 2 * float(values["seats"]) - float(values["budget"]) + (values["kind"] == "a")


def test_two_that_have_to_be_chosen_together_are_found_with_their_share():
    found = interactions(*draw(120, crossed), NAMES)

    assert found is not None
    ((first, second, share),) = found
    assert {first, second} == {"seats", "budget"}
    assert 0.3 < share < 1.0


def test_what_adds_up_does_not_interact():
    false = sum(bool(interactions(*draw(60, added, seed), NAMES)) for seed in range(40))

    assert false <= 5  # 2 expected


def test_chance_alone_does_not_interact():
    false = sum(bool(interactions(*draw(60, lambda _: 0.0, seed), NAMES)) for seed in range(40))

    assert false <= 5  # 2 expected


def test_too_few_trials_say_nothing():
    assert interactions(*draw(30, crossed), NAMES) is None
    assert interactions([], [], NAMES) is None


@pytest.mark.parametrize("figures", [[0.0] * 60, [5.0] * 60])
def test_a_figure_that_is_always_the_same_has_no_interaction(figures: list[float]):
    values, _ = draw(60, crossed)

    assert interactions(values, figures, NAMES) == ()


def test_a_parameter_that_does_not_apply_is_a_level_of_its_own():
    values, figures = draw(120, crossed)
    partly: list[Values] = [{k: v for k, v in each.items() if k != "budget" or each["kind"] == "a"} for each in values]

    assert interactions(partly, figures, NAMES) is not None


def test_one_parameter_has_nothing_to_meet():
    values, figures = draw(60, added)

    assert interactions(values, figures, ("seats",)) == ()
