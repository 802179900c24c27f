import os
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tuner.server.whose import plain, user_name, whose


def test_a_process_is_told_with_its_user_and_command():
    said = whose(os.getpid())

    assert said.startswith(f"process {os.getpid()} ({user_name(os.getuid())}: ")
    assert "pytest" in said


def test_a_process_that_is_not_there_is_told_as_such():
    assert whose(2**22 + 1) == "process 4194305 (not visible from here: in another container?)"


def test_a_user_without_a_name_is_a_number():
    assert user_name(4_000_000_000) == "user 4000000000"


@given(st.text())
def test_a_strangers_text_is_one_line_without_control_characters(text: str):
    said = plain(text)

    assert said == " ".join(said.split())
    assert not [letter for letter in said if unicodedata.category(letter) == "Cc"]
