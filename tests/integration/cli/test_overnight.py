"""The files that docs/overnight.md hands out are what they claim to be."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.stories import LATER, NIGHT, told
from tests.fakes.workbench import ROOT
from tuner.domain.errors import BreakerError, InputError, SurroundingsError
from tuner.space.yaml_file import read_yaml
from tuner.telling.metrics import StandingCollector

PAGE = (ROOT / "docs" / "overnight.md").read_text()
ANALYZE = shutil.which("systemd-analyze")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def settings(unit: str) -> dict[str, str]:
    lines = [line for line in unit.splitlines() if "=" in line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


@pytest.mark.skipif(ANALYZE is None, reason="systemd is not installed")
@pytest.mark.parametrize(("index", "scope"), [(0, "--system"), (1, "--user")])
def test_systemd_accepts_the_units(tmp_path: Path, index: int, scope: str):
    assert ANALYZE is not None
    program = tmp_path / "tuner"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "tuner@.service"
    unit.write_text(re.sub(r"(?<=^ExecStart=)\S+", str(program), blocks("ini")[index], flags=re.MULTILINE))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [ANALYZE, "verify", scope, "--man=no", str(tmp_path / "tuner@night.service")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "tuner" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("unit", blocks("ini"))
def test_the_units_restart_what_a_restart_can_mend_and_nothing_else(unit: str):
    found = settings(unit)
    clean = set(map(int, found["SuccessExitStatus"].split()))
    prevented = set(map(int, found["RestartPreventExitStatus"].split()))
    assert found["Restart"] == "on-failure"
    assert {130, 143} <= clean
    assert prevented == {InputError.exit_code, BreakerError.exit_code}
    assert not {1, SurroundingsError.exit_code} & (clean | prevented)
    assert found["KillMode"] == "mixed"
    assert " resume %i " in found["ExecStart"]


def test_the_two_units_differ_only_in_what_root_alone_can_do():
    system, user = map(settings, blocks("ini"))
    for name in ("KillMode", "KillSignal", "TimeoutStopSec", "Restart", "RestartSec", "OOMPolicy"):
        assert system[name] == user[name], name


def as_yaml(text: str, path: Path) -> Any:
    path.write_text(text)
    return read_yaml(path)


def test_the_prometheus_files_are_yaml_and_speak_of_metrics_that_exist(tmp_path: Path):
    scrape, rules = (as_yaml(text, tmp_path / "file.yml") for text in blocks("yaml"))
    assert scrape["scrape_configs"][0]["job_name"] == "tuner"
    collector = StandingCollector(lambda: told(NIGHT), clock=lambda: 0.0, now=lambda: LATER)
    names = {sample.name for family in collector.collect() for sample in family.samples}
    alerts = rules["groups"][0]["rules"]
    assert {alert["alert"] for alert in alerts} == {"TunerStuck", "TunerGone", "TunerFailing"}
    for alert in alerts:
        used = set(re.findall(r"tuner_[a-z_]+", alert["expr"]))
        assert used
        assert used <= names
