"""`tuner best --emit` on the committed result file: every form agrees with the answer."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from ruamel.yaml import YAML

from tests.fakes.workbench import ROOT
from tuner.deploy.form import Form
from tuner.domain.flags import parse_command_line
from tuner.store.migrate import migrate


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("committed") / "results.db"
    shutil.copy(ROOT / "results.db", copy)
    engine = sa.create_engine(f"sqlite:///{copy}")
    migrate(engine)
    engine.dispose()
    return copy


def best(database: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tuner", "best", "--target-rps", "2", "--db", str(database), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def emitted(database: Path, form: Form) -> str:
    done = best(database, "--emit", form)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_and_vllms_file_have_the_flags_of_the_answer(database: Path):
    answer: dict[str, Any] = json.loads(best(database, "--json").stdout)
    wanted = parse_command_line(answer["command"])
    own = {"host": "127.0.0.1", "port": 8000, "served-model-name": "tiny-model"}

    lines = [line for line in emitted(database, Form.COMMAND).splitlines() if not line.startswith("#")]
    assert parse_command_line("\n".join(lines)) == {**wanted, **own}
    yaml: Any = YAML(typ="safe", pure=True)
    options = yaml.load(emitted(database, Form.YAML))
    assert Path(options.pop("model")).name == "tiny-model"
    assert options == {**wanted, **own}


@pytest.mark.parametrize("form", Form)
def test_every_form_says_which_trial_of_which_study_it_is(form: Form, database: Path):
    answer: dict[str, Any] = json.loads(best(database, "--json").stdout)
    text = emitted(database, form)
    assert f"# Study {answer['study']}, trial {answer['trial']}: chosen for 2 req/s" in text
    assert f"sustains {answer['capacity_rps']:.3g} req/s" in text
    assert "vLLM 0.32.0" in text


def test_a_form_and_json_exclude_each_other(database: Path):
    done = best(database, "--emit", "yaml", "--json")
    assert done.returncode == 2
    assert "--emit and --json exclude each other" in done.stderr


def test_a_form_that_is_none_is_refused_with_those_there_are(database: Path):
    done = best(database, "--emit", "helm")
    assert done.returncode == 2
    assert "'kubernetes'" in done.stderr
