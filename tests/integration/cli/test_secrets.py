"""Secrets of the caller's environment and command line: in no answer, no message, no traceback and no file."""

import sys
from pathlib import Path

import pytest

from tests.fakes.workbench import Workbench
from tuner.domain.load import Outcome
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader

CANARY = "CANARY-0123456789"
ENVIRONMENT = {
    "HF_TOKEN": f"hf_{CANARY}",
    "OPENAI_API_KEY": f"sk-{CANARY}",
    "https_proxy": f"http://me:{CANARY}@127.0.0.1:9",
    "PGPASSWORD": CANARY,
}


def whole(bench: Workbench) -> str:
    """Return all that the command line says of trial 0."""
    commands = [("show", "0"), ("show", "0", "--json"), ("trials", "--json"), ("studies", "--json")]
    return "".join(bench.tuner(*command).stdout for command in commands)


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A bench with a study whose engine repeats its secrets: into its log, and in every fifth answer."""
    bench = Workbench(tmp_path_factory.mktemp("leaking"))
    study = bench.study(mode="leaks_secrets,leaks_in_answers:5", budget={"trials": 1})
    done = bench.tuner("run", study, env=ENVIRONMENT)
    assert "hf_" not in done.stdout + done.stderr
    assert CANARY not in done.stdout + done.stderr
    return bench


def test_an_answer_that_repeats_a_secret_is_kept_without_it(leaking: Workbench):
    with open_reader(DatabaseLocation.parse(str(leaking.database))) as reader:
        study = reader.study("night")
        assert study is not None
        trial = reader.trials(study.id)[0]
        records = [record for point in trial.load_points for record in reader.records(trial.id, point.index)]
    errors = [record.error for record in records if record.outcome is Outcome.HTTP_ERROR]
    said = [*errors, trial.failure.evidence if trial.failure else ""]

    assert any("key ****" in text for text in said)
    assert not [text for text in said if CANARY in text]


def test_no_file_and_no_answer_holds_one(leaking: Workbench):
    assert CANARY not in whole(leaking)
    for path in leaking.directory.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def test_a_log_that_steers_terminals_and_holds_a_secret_gives_harmless_evidence(tmp_path: Path):
    bench = Workbench(tmp_path)

    done = bench.tuner("run", bench.study(mode="hostile_log", budget={"trials": 1}), env=ENVIRONMENT)

    assert done.returncode == 4
    assert "CUDA out of memory. ␛[2J␛]8;;http://evil.example␇" in done.stderr
    for said in (done.stderr, whole(bench)):
        assert said.replace("\n", "").isprintable()
        assert CANARY not in said


def test_a_traceback_holds_no_secret_and_steers_no_terminal(tmp_path: Path):
    bench = Workbench(tmp_path)
    code = (
        "import os, sys, tuner.cli.main as main\n"
        "def app():\n"
        "    raise RuntimeError(f\"no {os.environ['HF_TOKEN']} \\x1b[2J\")\n"
        "main.app = app\n"
        "main.main()\n"
    )

    done = bench.run([sys.executable, "-c", code], env={**ENVIRONMENT, "TUNER_DEBUG": "1"})

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert CANARY not in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "arguments",
    [
        ("best", "--target-rps", "1", "--db", f"postgresql+psycopg://me:{CANARY}@127.0.0.1:1/results"),
        ("resume", "night", "--db", f"postgresql+psycopg://me:{CANARY}@127.0.0.1:1/results"),
        ("resume", "night", "--db", f"nothing://me:{CANARY}@127.0.0.1:1/results"),
        ("bench", "--url", f"http://me:{CANARY}@127.0.0.1:1", "--rate", "1", "--requests", "1"),
        ("bench", "--url", f"ftp://me:{CANARY}@127.0.0.1:1", "--rate", "1", "--requests", "1"),
    ],
)
def test_a_password_on_the_command_line_is_not_said_again(tmp_path: Path, arguments: tuple[str, ...]):
    done = Workbench(tmp_path).tuner(*arguments)

    assert done.returncode in {2, 3}, done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
