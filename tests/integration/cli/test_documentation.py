"""What the documentation types exists: commands, their options, files."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.fakes.workbench import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?:\$ |`)tuner ([a-z]+)((?: [^`$\n|]*)?)")
TYPED = re.compile(r"^\$ .*$|`[^`\n]+`", re.MULTILINE)


@cache
def help_of(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tuner", command, "--help"], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""


def commands() -> list[tuple[str, str]]:
    found = [match for page in PAGES for text in TYPED.findall(page.read_text()) for match in COMMAND.findall(text)]
    return sorted(set(found))


@pytest.mark.parametrize(("command", "rest"), commands())
def test_a_command_of_the_documentation_exists_with_its_options(command: str, rest: str):
    shown = help_of(command)
    assert shown, command
    for option in re.findall(r"--[a-z][a-z-]+", rest):
        assert option in shown, f"tuner {command} {option}"


@pytest.mark.parametrize(
    "script", sorted({s for page in PAGES for s in re.findall(r"scripts/[a-z-]+", page.read_text())})
)
def test_a_script_of_the_documentation_exists(script: str):
    assert (ROOT / script).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_promise_of_the_security_page_has_its_test():
    named = re.findall(r"`((?:unit|integration|vllm)/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "security.md").read_text())
    assert len(named) > 30
    for path, name in named:
        assert f"def {name}(" in (ROOT / "tests" / path).read_text(), f"{path}::{name}"


def test_every_command_has_examples_in_its_help():
    listed = subprocess.run(
        [sys.executable, "-m", "tuner", "--help"], capture_output=True, text=True, check=True
    ).stdout
    names = re.findall(r"^  ([a-z]+) ", listed.partition("Commands:")[2], re.MULTILINE)
    assert len(names) >= 10
    for name in names:
        if name != "schema":
            assert f"tuner {name} " in help_of(name).partition("Example")[2], name
