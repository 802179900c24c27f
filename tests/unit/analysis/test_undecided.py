"""What is open, in words."""

import pytest

from tuner.analysis.undecided import Undecided


@pytest.mark.parametrize(
    ("lower", "upper", "told"),
    [
        (8.0, 20.0, "the capacity lies between 8 and 20 req/s"),
        (8.0, None, "the capacity is at least 8 req/s"),
        (0.0, 4.17, "the capacity is below 4.17 req/s"),
    ],
)
def test_it_is_said_with_the_load_point_that_would_tell(lower: float, upper: float | None, told: str):
    open_ = Undecided(lower_rps=lower, upper_rps=upper, rate=12.649, requests=240)
    assert str(open_) == f"{told}; a load point of 240 requests at 12.6 req/s would tell"


def test_load_points_that_say_nothing_are_named():
    open_ = Undecided(lower_rps=8.0, upper_rps=None, rate=16.0, requests=240, silent=(12.0, 24.5))
    assert "(what was given up at 12, 24.5 req/s says nothing of these SLOs)" in str(open_)
