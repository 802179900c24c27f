"""What speaks for a rate."""

from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.overview import speaker

RATES = st.lists(st.floats(0.1, 100.0), max_size=8)


@given(RATES, st.floats(0.1, 100.0))
def test_it_is_the_lowest_that_is_not_below_and_else_the_highest(rates: list[float], rate: float):
    above = [each for each in rates if each >= rate * (1 - 1e-9)]

    assert speaker(rates, rate, float) == (min(above) if above else max(rates, default=None))


def test_of_several_at_one_rate_the_first_speaks_from_above_and_the_last_from_below():
    twice = [(2.0, "first"), (2.0, "last")]

    assert speaker(twice, 1.0, lambda pair: pair[0]) == (2.0, "first")
    assert speaker(twice, 3.0, lambda pair: pair[0]) == (2.0, "last")
