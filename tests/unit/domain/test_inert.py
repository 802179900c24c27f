import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.failure import Failure, FailureKind
from tuner.domain.inert import inert

ACTIVE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control characters, what has no form of its own (bidirectional overrides, zero widths), surrogates, line breaks."""


def active(text: str) -> list[str]:
    return [each for each in text if unicodedata.category(each) in ACTIVE]


@given(st.text(st.characters()))
def test_nothing_active_is_left_and_no_character_is_lost(text: str):
    found = inert(text)

    assert active(found) == []
    assert len(found) == len(text)
    assert inert(found) == found


@given(st.text(st.characters()))
def test_lines_keep_their_line_feeds_and_nothing_else(text: str):
    found = inert(text, lines=True)

    assert set(active(found)) <= {"\n"}
    assert found.count("\n") == text.count("\n")


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_letters_of_any_script_stay(text: str):
    assert inert(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "␛[2J"),
        ("\x1b]52;c;eA==\x07", "␛]52;c;eA==␇"),
        ("95 %\rtrial 9", "95 % trial 9"),
        ("\x9b31m", "\ufffd31m"),
        ("\x7f", "␡"),
        ("evil\u202etxt.exe", "evil\ufffdtxt.exe"),
        ("a\u200bb", "a\ufffdb"),
        ("two\nlines\tand\u2028more", "two lines and more"),
    ],
)
def test_what_would_act_is_shown(text: str, shown: str):
    assert inert(text) == shown


@given(st.text(st.characters()), st.text(st.characters()))
def test_a_failure_is_inert_whatever_log_or_result_file_it_comes_from(evidence: str, advice: str):
    failure = Failure(kind=FailureKind.UNKNOWN, evidence=evidence, advice=advice)

    assert active(failure.evidence + failure.advice) == []
