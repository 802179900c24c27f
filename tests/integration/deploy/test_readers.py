"""The forms, read by the programs that they are for: a shell, and systemd's own checker."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.deployables import HOSTILE, make_deployable, make_hostile
from tuner.deploy.deployable import Deployable
from tuner.deploy.emit import emit
from tuner.deploy.form import Form

SAY = 'say() { printf \'%s\\0\' "$@"; }; vllm() { say vllm "$@"; }; docker() { say docker "$@"; }\n'
UNSEEN = "tab\there\nline \u202e '\\"


def executed(text: str, directory: Path) -> list[str]:
    """The words that a shell hands to `vllm` or `docker`; `env` is one that says them too."""
    env = directory / "env"
    env.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    env.chmod(0o755)
    done = subprocess.run(
        ["bash", "-u", "-c", SAY + text],
        capture_output=True,
        text=True,
        check=True,
        cwd=directory,
        env={"PATH": f"{directory}:/usr/bin:/bin", "HOME": "/home/me"},
    )
    assert done.stderr == ""
    return done.stdout.rstrip("\0").split("\0")


@pytest.mark.parametrize("deployable", [make_hostile(), make_hostile(env={"VLLM_A": UNSEEN})])
def test_a_shell_runs_the_command_and_nothing_else(deployable: Deployable, tmp_path: Path):
    words = executed(emit(Form.COMMAND, deployable), tmp_path)
    assert words[words.index("serve") + 1 :] == deployable.serve_arguments("127.0.0.1")
    assert words[: words.index("vllm")] == [f"{name}={value}" for name, value in deployable.environment.items()]
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_a_shell_runs_docker_and_nothing_else(tmp_path: Path):
    words = executed(emit(Form.DOCKER, make_hostile(env={"VLLM_A": UNSEEN, "VLLM_B": HOSTILE})), tmp_path)
    assert words[:2] == ["docker", "run"]
    assert f"VLLM_A={UNSEEN}" in words
    assert f"VLLM_B={HOSTILE}" in words
    assert words[words.index("serve") + 1 :] == make_hostile().serve_arguments("0.0.0.0", model="/model")  # noqa: S104
    cached = executed(emit(Form.DOCKER, make_deployable()), tmp_path)
    assert "/home/me/.cache/huggingface:/root/.cache/huggingface" in cached
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze comes with Debian's systemd")
@pytest.mark.parametrize("name", ["python", "a %n ${HOME} python", HOSTILE.replace("/", "")])
def test_systemds_own_checker_finds_nothing_wrong(name: str, tmp_path: Path):
    program = tmp_path / name
    changes = {"env": {"VLLM_A": UNSEEN}, "python": (str(program), "-m", "vllm.entrypoints.cli.main", "serve")}
    unit = tmp_path / "vllm-night.service"
    unit.write_text(emit(Form.SYSTEMD, make_hostile(**changes)).replace("/usr/bin/curl", "/bin/true"))
    missing = verified(unit)
    program.symlink_to(sys.executable)

    assert verified(unit) == ""
    assert ("is not executable" in missing) == ("'" not in name), "env takes what systemd refuses as a program"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze comes with Debian's systemd")
def test_systemds_own_checker_would_find_a_wrong_key(tmp_path: Path):
    unit = tmp_path / "vllm-night.service"
    unit.write_text(emit(Form.SYSTEMD, make_deployable(python=())).replace("TimeoutStartSec=", "TimeoutStartSecs="))
    assert "TimeoutStartSecs" in verified(unit)


def verified(unit: Path) -> str:
    """What `systemd-analyze verify` says of a unit."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    return "\n".join(line for line in done.stderr.splitlines() if "vllm-night" in line)
