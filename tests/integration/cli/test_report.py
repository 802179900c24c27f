"""`tuner report`, from the committed result file to a page that says what `tuner best` says."""

import html
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.workbench import ROOT


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("committed") / "results.db"
    shutil.copy(ROOT / "results.db", copy)
    return copy


def tuner(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tuner", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def report(database: Path, tmp_path: Path, *arguments: str) -> str:
    done = tuner(tmp_path, "report", "--db", str(database), "-o", "out.html", *arguments)
    assert done.returncode == 0, done.stderr
    return (tmp_path / "out.html").read_text(encoding="utf-8")


def best(database: Path, *arguments: str) -> Any:
    done = tuner(database.parent, "best", "--db", str(database), "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def command_of(page: str) -> list[str]:
    """The command on the page, as a shell reads it."""
    found = re.search(r'aria-label="The command to deploy"><code>(.*?)</code>', page, re.DOTALL)
    assert found is not None
    script = f"printf '%s\\0' {html.unescape(found[1])}"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]


@pytest.mark.parametrize("asked", [(), ("--slo", "ttft_p95=100ms"), ("--target-rps", "3", "--headroom", "3")])
def test_the_page_names_the_configuration_that_best_names(database: Path, tmp_path: Path, asked: tuple[str, ...]):
    found = best(database, *(() if "--target-rps" in asked else ("--target-rps", "6")), *asked)
    page = report(database, tmp_path, *asked)
    assert command_of(page) == shlex.split(found["command"])
    assert f"{found['capacity_rps']:.3g} req/s" in page


def test_it_says_what_it_wrote_and_needs_no_study_where_there_is_one(database: Path, tmp_path: Path):
    done = tuner(tmp_path, "report", "--db", str(database))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("report.html: the report of quickstart")
    assert (tmp_path / "report.html").stat().st_size < 1_000_000


def test_the_result_file_is_left_as_it_was(database: Path, tmp_path: Path):
    before = database.read_bytes()
    report(database, tmp_path, "quickstart")
    assert database.read_bytes() == before


def test_secrets_of_the_callers_environment_are_blanked(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SOME_TOKEN", "tiny-model")
    page = report(database, tmp_path)
    assert "tiny-model" not in page
    assert ".quickstart/**********" in page


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere",), 2, "no study named 'nowhere'"),
        (("--slo", "ttft_p95"), 2, "is not an SLO"),
        (("-o", "no/such/directory.html"), 3, "no/such/directory.html"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_message(
    database: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
):
    done = tuner(tmp_path, "report", "--db", str(database), *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_help_loads_no_template_engine(tmp_path: Path):
    script = "import sys; from tuner.cli.main import app; sys.exit(bool({'jinja2', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=tmp_path).returncode == 0
