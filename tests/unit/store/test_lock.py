import os
import stat
from pathlib import Path

import pytest

from tuner.domain.errors import SurroundingsError
from tuner.store.location import DatabaseLocation
from tuner.store.lock import writer_lock


def test_a_second_writer_learns_who_the_first_is(location: DatabaseLocation):
    with (
        writer_lock(location, "night"),
        pytest.raises(SurroundingsError, match=rf"process {os.getpid()} on \S+ \(study night\)"),
        writer_lock(location, "other"),
    ):
        pass


def test_the_lock_ends_with_its_context(location: DatabaseLocation):
    for study in ("night", "other"):
        with writer_lock(location, study):
            pass
    assert (location.work_dir / "results.db.lock").read_text() == ""


def test_the_lock_ends_with_an_error(location: DatabaseLocation):
    with pytest.raises(ZeroDivisionError), writer_lock(location, "night"):
        raise ZeroDivisionError
    with writer_lock(location, "night"):
        pass


def test_two_databases_of_one_directory_have_two_locks(location: DatabaseLocation, tmp_path: Path):
    other = DatabaseLocation.parse(str(tmp_path / "other.db"))
    with writer_lock(location, "night"), writer_lock(other, "night"):
        assert {path.name for path in location.work_dir.iterdir()} == {"results.db.lock", "other.db.lock"}


def test_a_lock_that_can_not_be_made_is_an_error_of_the_surroundings(location: DatabaseLocation):
    location.work_dir.write_text("a file in the directory's place")
    with pytest.raises(SurroundingsError, match="can't be made"), writer_lock(location, "night"):
        pass


def test_the_directory_beside_the_file_is_the_owners_alone(location: DatabaseLocation):
    before = os.umask(0)
    try:
        with writer_lock(location, "night"):
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (location.work_dir, *location.work_dir.iterdir())]
    finally:
        os.umask(before)
    assert modes == [0o700, 0o600]


def test_a_link_in_the_locks_place_is_not_followed(location: DatabaseLocation, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    location.work_dir.mkdir()
    (location.work_dir / "results.db.lock").symlink_to(victim)
    with pytest.raises(SurroundingsError, match="can't be made"), writer_lock(location, "night"):
        pass
    assert victim.read_text() == "mine"


def test_a_database_server_needs_no_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    location = DatabaseLocation.parse("postgresql://db/tuning")
    with writer_lock(location, "night"), writer_lock(location, "night"):
        assert list(tmp_path.iterdir()) == []
