"""Which trials a page shows, and what they stand for."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.nights import capacity, make_material
from tuner.report.chart import Tone
from tuner.report.material import Judged, Material, compared, evenly, shown
from tuner.report.story import study_page


def crowd(count: int) -> Material:
    """The night with many more trials like trial 4, which nothing speaks for."""
    material = make_material()
    one = next(trial for trial in material.trials if trial.number == 4)
    more = tuple(one.model_copy(update={"number": 100 + number, "id": 1000 + number}) for number in range(count))
    judged = {trial.number: Judged(capacity(3.0), one.load_points, material.judged[4].figures) for trial in more}
    return replace(material, trials=(*material.trials, *more), judged={**material.judged, **judged})


def test_what_a_trial_stands_for():
    material = make_material()
    tones = {trial.number: material.tone(trial) for trial in material.trials}
    assert tones[3] is Tone.BEST
    assert tones[0] is Tone.DEFAULTS
    assert tones[6] is Tone.TIE
    assert tones[1] is Tone.CANDIDATE
    assert tones[2] is Tone.FRONT
    assert tones[4] is Tone.OTHER


def test_the_answer_the_defaults_candidates_and_ties_are_compared():
    assert [trial.number for trial in compared(make_material())] == [3, 0, 1, 6]


def test_where_few_are_named_the_best_of_the_front_fill_up():
    material = make_material(best=0, ties=frozenset[int]())
    assert [trial.number for trial in compared(material)] == [0, 1, 3]


def test_all_launched_trials_are_shown_where_they_are_few():
    assert [trial.number for trial in shown(make_material())] == [0, 1, 2, 3, 4, 5, 6]


def test_of_many_trials_those_that_matter_are_shown_and_an_even_choice_of_the_rest():
    numbers = [trial.number for trial in shown(crowd(1000), most=57)]
    assert numbers == sorted(numbers)
    assert len(numbers) == 57
    assert {0, 1, 2, 3, 5, 6} <= set(numbers)
    rest = [number - 100 for number in numbers if number >= 100]
    assert rest[0] < 40
    assert rest[-1] > 960


def test_a_crowd_that_ties_with_the_answer_pushes_nobody_out():
    material = crowd(1000)
    tied = replace(material, ties=frozenset(range(100, 1100)))
    numbers = {trial.number for trial in shown(tied, most=57)}
    assert {0, 1, 2, 3, 5} <= numbers
    assert len(numbers) == 57


def test_of_many_ties_those_with_the_highest_capacity_are_compared():
    ties = frozenset({2, 4, 6})
    assert [trial.number for trial in compared(make_material(ties=ties))] == [3, 0, 1, 6, 2, 4]


def test_a_page_that_leaves_trials_out_says_so():
    assert study_page(crowd(1000)).thinned.startswith("The charts show 240 of 1,007 trials")
    assert not study_page(make_material()).thinned


@given(st.lists(st.integers()), st.integers(0, 20))
def test_an_even_choice_keeps_the_order_and_the_count(items: list[int], count: int):
    chosen = evenly(items, count)
    assert len(chosen) == min(count, len(items))
    rest = iter(items)
    assert all(item in rest for item in chosen)


@pytest.mark.parametrize("count", [1, 7])
def test_an_even_choice_spreads_over_everything(count: int):
    chosen = evenly(range(70), count)
    steps = [later - sooner for sooner, later in pairwise(chosen)]
    assert set(steps) <= {70 // count}
