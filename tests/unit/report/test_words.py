"""How figures and commands are written on the page."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.slo import parse_slo
from tuner.report.words import (
    command_lines,
    duration_text,
    figure_name,
    figure_shown,
    figure_text,
    slo_text,
    value_text,
)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\\")), min_size=1))
def test_a_command_of_several_lines_is_read_back_as_the_same_words(words: list[str]):
    without_continuations = command_lines(shlex.join(words)).replace(" \\\n", " ")
    assert shlex.split(without_continuations) == words


def test_a_command_has_one_flag_a_line():
    assert command_lines("vllm serve m --a=1 --b") == "vllm serve m \\\n  --a=1 \\\n  --b"


@pytest.mark.parametrize(
    ("name", "value", "shown", "text"),
    [("ttft_p95", 0.25, 250.0, "250 ms"), ("capacity_rps", 6.125, 6.125, "6.12 req/s"), ("users_mean", 4.0, 4.0, "4")],
)
def test_a_figure_is_shown_in_its_unit(name: str, value: float, shown: float, text: str):
    assert figure_shown(name, value) == shown
    assert figure_text(name, value) == text


def test_latencies_and_limits_have_the_names_that_people_use():
    assert figure_name("tpot_p95") == "TPOT p95"
    assert slo_text(parse_slo("ttft_p95=500ms")) == "TTFT p95 ≤ 500 ms"


@pytest.mark.parametrize(
    ("value", "text"), [(True, "on"), (False, "off"), (0.123456, "0.1235"), (64, "64"), ("fp8", "fp8")]
)
def test_a_flags_value_is_short(value: float | str, text: str):
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (42.4, "42 s"), (200.0, "3 min 20 s"), (25_500.0, "7 h 05 min")]
)
def test_a_duration_is_written_in_its_largest_units(seconds: float | None, text: str):
    assert duration_text(seconds) == text
