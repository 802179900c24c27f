"""Workloads by name: in a study, on the command line, and from an installed wheel."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.fakes.workbench import ROOT, Workbench
from tuner.load.library import shipped_workloads


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("workloads"))


@pytest.mark.parametrize("name", ["five-lessons", "burstgpt-sample"])
def test_a_study_with_a_workload_by_name_is_checked(bench: Workbench, name: str):
    shown = bench.json("check", bench.study(workload=name))
    longest = {each["name"]: each["longest_request_tokens"] for each in bench.json("workloads")}[name]
    assert f"--max-model-len={longest}" in shown["commands"][0]["line"]


def test_a_study_names_a_file_beside_it_wherever_the_command_is_typed(bench: Workbench):
    beside = bench.directory / "studies"
    beside.mkdir()
    (beside / "trace.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374,44\n")
    (beside / "mine.yaml").write_text("trace: {file: trace.csv, format: azure}\n")
    study = bench.study(workload="./mine.yaml", model=str(bench.directory / "tiny")).rename(beside / "night.yaml")
    assert "--max-model-len=418" in bench.json("check", study)["commands"][0]["line"]


def test_an_unknown_workload_gets_the_nearest_name(bench: Workbench):
    done = bench.tuner("check", bench.study(workload="five-lesson"))
    assert done.returncode == 2
    assert "workload: there is no workload named 'five-lesson'; did you mean five-lessons?" in done.stderr


def test_flags_are_laid_over_a_workload_by_name(bench: Workbench):
    done = bench.tuner("run", bench.study(workload="five-lessons"), "--input-tokens", "32")
    assert done.returncode == 2
    assert "workload.input_tokens: has no effect beside chain" in done.stderr


def test_shipped_workloads_are_listed_for_people(bench: Workbench):
    shown = bench.tuner("workloads").stdout
    for name in shipped_workloads():
        assert f"\n{name} " in shown


def test_an_installed_wheel_finds_every_workload_and_its_trace(tmp_path: Path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "tuner/devices/catalogue.toml" in archive.namelist()
        archive.extractall(tmp_path / "installed")
    program = "import tuner, tuner.cli.main; print(tuner.__file__); tuner.cli.main.main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "workloads", "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        check=True,
        capture_output=True,
        text=True,
    )
    package, _, listed = done.stdout.partition("\n")
    assert Path(package).is_relative_to(tmp_path / "installed")
    assert [each["name"] for each in json.loads(listed)] == list(shipped_workloads())
