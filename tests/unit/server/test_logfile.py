import stat
from os import close, write
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.server import logfile


def test_a_log_is_its_owners_alone_even_if_it_was_there(tmp_path: Path):
    path = tmp_path / "logs" / "launch.log"
    path.parent.mkdir()
    path.touch(0o644)

    descriptor = logfile.create(path)
    write(descriptor, b"hello")
    close(descriptor)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert logfile.read(path) == "hello"


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o644)
    (tmp_path / "launch.log").symlink_to(victim)

    with pytest.raises(OSError, match="symbolic links"):
        logfile.create(tmp_path / "launch.log")

    assert (victim.read_text(), stat.S_IMODE(victim.stat().st_mode)) == ("mine", 0o644)


@given(st.lists(st.text("ab ", max_size=5)), st.text("ab", min_size=2, max_size=4))
def test_scrubbing_keeps_the_length_and_leaves_no_secret(parts: list[str], secret: str):
    path = Path("/dev/shm") / f"tuner-scrub-{id(parts)}"  # noqa: S108
    text = secret.join(parts)
    path.write_text(text)
    try:
        logfile.scrub(path, [secret])
        assert secret not in logfile.read(path)
        assert len(logfile.read(path)) == len(text)
    finally:
        path.unlink()


def test_a_missing_or_empty_log_needs_no_scrubbing(tmp_path: Path):
    empty = tmp_path / "empty"
    empty.touch()

    logfile.scrub(empty, ["secret"])
    logfile.scrub(tmp_path / "missing", ["secret"])

    assert logfile.read(empty) == logfile.read(tmp_path / "missing") == ""
