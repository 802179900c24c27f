import json
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel
from rich.text import Text

import tuner.cli
from tuner.cli import console as module
from tuner.cli.console import SafeConsole, print_json, safe
from tuner.cli.tables import plain_table

ANYTHING = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\x1b\x07\r\u202e\x9b[];"))
CANARY = "hf_CANARY0123456789"


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", CANARY)
    module.secrets.cache_clear()
    yield CANARY
    module.secrets.cache_clear()


def printed(*things: object) -> str:
    """Return what a terminal would get, but for rich's own colours."""
    stream = StringIO()
    console = SafeConsole(file=stream, force_terminal=True, color_system=None, markup=False, width=60)
    for thing in things:
        console.print(thing)
    return stream.getvalue()


def row(*cells: str):
    table = plain_table(*cells)
    table.add_row(*cells)
    return table


@given(ANYTHING)
def test_nothing_that_is_printed_steers_a_terminal(text: str):
    shown = printed(text, Text(text), row(text, text), Panel(Text(text), title="plain"))

    assert shown.replace("\n", "").isprintable()


@given(st.recursive(ANYTHING | st.integers(), lambda part: st.lists(part) | st.dictionaries(ANYTHING, part)))
def test_json_is_the_same_value_and_steers_no_terminal(value: object):
    stream = StringIO()
    with redirect_stdout(stream):
        print_json(value)

    assert stream.getvalue().replace("\n", "").isprintable()
    assert json.loads(stream.getvalue()) == value


def test_half_a_surrogate_pair_is_escaped_in_json(capsys: pytest.CaptureFixture[str]):
    print_json({"file": "\udcff", "tag": "\U000e0001"})

    assert capsys.readouterr().out == '{\n  "file": "\\udcff",\n  "tag": "\\udb40\\udc01"\n}\n'


def test_secrets_of_the_environment_are_on_no_way_out(canary: str, capsys: pytest.CaptureFixture[str]):
    print_json({"evidence": f"401 for {canary}", canary: [canary]})

    assert canary not in capsys.readouterr().out
    assert canary not in safe(f"tuner: {canary}")
    assert "".join(printed(f"a {canary} " * 9, row(canary)).split()).count("CANARY") == 0


def test_text_stays_what_it_is(capsys: pytest.CaptureFixture[str]):
    print_json({"slo": "ttft_p95 ≤ 500 ms", "model": "模型"})

    assert "≤" in capsys.readouterr().out
    assert printed("capacity ≥ 8 req/s · 模型") == "capacity ≥ 8 req/s · 模型\n"


def test_every_console_is_made_in_one_place():
    modules = Path(tuner.cli.__file__).parent.glob("*.py")
    makers = {path.name for path in modules if re.search(r"\bConsole\(", path.read_text(encoding="utf-8"))}

    assert makers <= {"console.py"}
