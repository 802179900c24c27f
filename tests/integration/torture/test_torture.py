"""The fault matrix in its short form: a run or two of what scripts/torture runs by the hundred (docs/torture.md)."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.torture import hostile, kills, parts, power, surroundings
from tests.torture.bed import Bed

HAS_NAMESPACES = (
    shutil.which("unshare") is not None and not subprocess.run(["unshare", "-rm", "true"], check=False).returncode
)
needs_namespaces = pytest.mark.skipif(not HAS_NAMESPACES, reason="a disk of one's own needs mount namespaces")


def test_a_tuner_killed_between_two_steps_loses_and_repeats_nothing(tmp_path: Path):
    row = kills.at_every_step(tmp_path, first=90, at_most=1)
    assert (row.runs, row.violations) == (1, [])


@pytest.mark.parametrize(
    ("name", "part", "phase", "kind"),
    [
        (signal.SIGSTOP, parts.ENGINE_CORE, "load point 1", "engine_hung"),
        (signal.SIGKILL, parts.WORKER, "warm-up", "engine_dead"),
    ],
)
def test_an_engine_with_a_broken_part_is_no_number(
    tmp_path: Path, name: signal.Signals, part: str, phase: str, kind: str
):
    bed = Bed(tmp_path)
    parts.one(bed, name, part, phase, 0.2)
    assert list(parts.violations(bed, name)) == []
    assert parts.kinds(bed) == [kind]


def test_a_stranger_on_the_port_is_never_measured_and_the_next_launch_takes_another(tmp_path: Path):
    assert surroundings.foreign_server(tmp_path, 1).violations == []


@needs_namespaces
def test_a_full_disk_stops_the_study_and_keeps_what_was_measured(tmp_path: Path):
    assert surroundings.full_disk(tmp_path, (192,)).violations == []


@needs_namespaces
def test_a_disk_that_can_only_be_read_is_named(tmp_path: Path):
    assert surroundings.read_only(tmp_path).violations == []


def test_a_locked_file_is_waited_for_without_a_loss(tmp_path: Path):
    assert surroundings.locked(tmp_path, 1, 1.0).violations == []


def test_another_engine_or_model_is_refused_with_the_difference(tmp_path: Path):
    row = surroundings.other_versions(tmp_path, 2)
    assert (row.runs, row.violations) == (2, [])


def test_a_wall_clock_that_jumps_moves_no_duration_and_no_budget(tmp_path: Path):
    assert surroundings.jumping_clock(tmp_path, (86_400.0,)).violations == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace tells what the writer asked of the kernel")
def test_no_promised_trial_is_lost_with_the_power(tmp_path: Path):
    row = power.lost_power(tmp_path, 100)
    assert (row.runs, row.violations) == (100, [])


def test_no_secret_is_left_anywhere(tmp_path: Path):
    row = hostile.canary(tmp_path)
    assert (row.runs, row.violations) == (2, [])


def test_hostile_names_are_refused_or_passed_on_whole(tmp_path: Path):
    row = hostile.names(tmp_path, 12)
    assert (row.runs, row.violations) == (12, [])
