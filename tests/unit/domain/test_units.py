import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.units import format_ms, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("0.5s", 0.5),
        ("2min", 120),
        ("2m", 120),
        ("8h", 28800),
        (" 3 s ", 3),
        ("7", 7),
        (7, 7),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_read_in_seconds(text: str | float, seconds: float) -> None:
    assert parse_duration(text, default_unit="s") == pytest.approx(seconds)


def test_a_bare_number_is_in_the_default_unit() -> None:
    assert parse_duration(500, default_unit="ms") == pytest.approx(0.5)
    assert parse_duration("500", default_unit="ms") == pytest.approx(0.5)


@pytest.mark.parametrize(
    "text", ["", "fast", "5 parsecs", "-1s", "1e3s", "1,5s", ".5s", "5.", "٣s", "9" * 400, -1, math.nan, math.inf, True]
)
def test_anything_else_is_no_duration(text: str | float) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text, default_unit="s")


@given(st.floats(0, 1e6))
def test_a_number_of_seconds_is_itself(seconds: float) -> None:
    assert parse_duration(seconds, default_unit="s") == seconds


@given(st.floats(1e-4, 1e4))
def test_a_formatted_latency_reads_back_within_its_rounding(seconds: float) -> None:
    back = parse_duration(format_ms(seconds), default_unit="ms")
    assert back == pytest.approx(seconds, rel=0.006, abs=0.000051)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0073, "7.3 ms"), (0.09996, "100 ms"), (0.512, "512 ms"), (0.9996, "1.00 s"), (2.1, "2.10 s"), (0, "0.0 ms")],
)
def test_a_latency_is_formatted_for_people(seconds: float, text: str) -> None:
    assert format_ms(seconds) == text
