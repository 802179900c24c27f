from pathlib import Path

import pytest
import sqlalchemy as sa

from tuner.domain.errors import InputError
from tuner.store.location import DatabaseLocation


def test_a_relative_path_is_resolved_and_shown_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    location = DatabaseLocation.parse("night/results.db")
    assert location.path == tmp_path / "night" / "results.db"
    assert location.display == "night/results.db"
    assert location.work_dir == tmp_path / "night" / ".tuner"


def test_two_names_of_one_file_are_one_location(tmp_path: Path):
    (tmp_path / "link.db").symlink_to(tmp_path / "results.db")
    link, file = (DatabaseLocation.parse(str(tmp_path / name)) for name in ("link.db", "results.db"))
    assert (link.path, link.url) == (file.path, file.url)


def test_a_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert DatabaseLocation.parse("~/results.db").path == tmp_path / "results.db"


@pytest.mark.parametrize("name", ["results.db", "a b?c%d#e.db", "käse.db"])
def test_the_url_names_the_file(tmp_path: Path, name: str):
    location = DatabaseLocation.parse(str(tmp_path / name))
    assert sa.make_url(location.url).database == str(tmp_path / name)


def test_an_sqlite_url_is_its_path(tmp_path: Path):
    location = DatabaseLocation.parse(f"sqlite:///{tmp_path}/results.db")
    assert location.path == tmp_path / "results.db"
    assert location.url == DatabaseLocation.parse(str(tmp_path / "results.db")).url


def test_a_server_is_no_file_and_its_password_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    location = DatabaseLocation.parse("postgresql://ann:s3cret@db/tuning")
    assert location.url == "postgresql://ann:s3cret@db/tuning"
    assert location.display == "postgresql://ann:***@db/tuning"
    assert location.path is None
    assert location.work_dir == tmp_path / ".tuner"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a\0b",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "nosuchdb://host/x",
        "://",
        "a b://",
    ],
)
def test_what_names_no_database_is_refused(text: str):
    with pytest.raises(InputError, match=r"results\.db"):
        DatabaseLocation.parse(text)


def test_a_refused_url_does_not_show_its_password():
    with pytest.raises(InputError) as refused:
        DatabaseLocation.parse("nosuchdb://ann:s3cret@db/tuning")
    assert "s3cret" not in str(refused.value)
