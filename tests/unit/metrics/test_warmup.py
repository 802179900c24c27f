"""Whether a server is warm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.metrics.warmup import stable

SECONDS = st.floats(0.01, 1e3)


@pytest.mark.parametrize(
    ("took", "is_stable"),
    [
        ([], False),
        ([1.0, 1.0], False),
        ([5.0, 1.0, 1.0], True),
        ([5.0, 2.0, 1.0], False),
        ([5.0, 2.0, 1.0, 0.97, 0.98], True),
        ([1.0, 1.0, 1.4], True),
        ([1.0, 1.0, 0.9], False),
    ],
)
def test_it_is_warm_once_it_becomes_no_quicker(took: list[float], is_stable: bool):
    assert stable(took) is is_stable


@given(before=st.lists(SECONDS), last=st.tuples(SECONDS, SECONDS, SECONDS), scale=st.floats(0.1, 10))
def test_only_the_last_three_rounds_count_and_their_unit_does_not(
    before: list[float], last: tuple[float, float, float], scale: float
):
    assert stable([*before, *last]) == stable(last)
    assert stable([1.0, 1.0, scale]) == stable([7.0, 7.0, 7.0 * scale])
