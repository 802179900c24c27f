"""Turns on devices, with the system's own locks and processes."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tuner.domain.errors import SurroundingsError
from tuner.server.turns import lock_directory, turn
from tuner.server.whose import user_name


def ignore(_: str) -> None:
    pass


async def a_launch(study: str, log: list[str], directory: Path, *devices: str, lasts: int = 3) -> None:
    async with turn(devices or ("cpu",), study, directory=directory, on_wait=lambda who: log.append(f"{study}: {who}")):
        log.append(f"{study} begins")
        for _ in range(lasts):
            await asyncio.sleep(0)
        log.append(f"{study} ends")


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came")


async def test_a_second_launch_waits_for_the_first_one_and_says_for_whom(tmp_path: Path):
    log: list[str] = []
    async with turn(["cpu"], "first", directory=tmp_path, on_wait=log.append):
        second = asyncio.create_task(a_launch("second", log, tmp_path))
        await until(lambda: bool(log))
        assert log == [f"second: the launch of study first (process {os.getpid()} of {user_name(os.getuid())})"]
    await second

    assert log[1:] == ["second begins", "second ends"]


async def test_launches_on_different_gpus_do_not_wait_for_each_other(tmp_path: Path):
    log: list[str] = []
    async with turn(["GPU-a"], "first", directory=tmp_path, on_wait=ignore):
        await a_launch("second", log, tmp_path, "GPU-b")

    assert log == ["second begins", "second ends"]


async def test_whoever_waits_comes_before_a_tuner_that_comes_back(tmp_path: Path):
    log: list[str] = []
    async with turn(["cpu"], "first", directory=tmp_path, on_wait=ignore):
        waiting = asyncio.create_task(a_launch("second", log, tmp_path))
        await until(lambda: bool(log))
    await asyncio.gather(a_launch("first", log, tmp_path), waiting)

    assert [line for line in log if line.endswith("begins")] == ["second begins", "first begins"]


async def test_tuners_that_share_some_gpus_never_wait_in_a_circle(tmp_path: Path):
    log: list[str] = []
    pairs = (("GPU-a", "GPU-b"), ("GPU-b", "GPU-a"), ("GPU-b",), ("GPU-a",))
    async with asyncio.timeout(30):
        await asyncio.gather(*(a_launch(f"s{n}", log, tmp_path, *pair) for n, pair in enumerate(pairs)))

    assert len([line for line in log if line.endswith("ends")]) == len(pairs)


async def test_a_turn_lasts_as_long_as_the_last_process_that_inherited_it(tmp_path: Path):
    log: list[str] = []
    async with turn(["cpu"], "killed", directory=tmp_path, on_wait=ignore) as held:
        supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=PIPE, pass_fds=held)
    next_one = asyncio.create_task(a_launch("next", log, tmp_path))
    await until(lambda: bool(log))
    assert "next begins" not in log

    await supervisor.communicate(b"\n")
    await next_one

    assert log[-2:] == ["next begins", "next ends"]


async def test_a_killed_holder_leaves_no_lock_and_its_note_says_that_it_ended(tmp_path: Path):
    (tmp_path / "tuner-cpu.lock").write_text(json.dumps({"pid": 2**22 + 1, "user": "eve\x1b[2J", "study": "night"}))
    log: list[str] = []
    await a_launch("next", log, tmp_path)

    assert log == ["next begins", "next ends"]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [make_pipe, Path.mkdir])
async def test_what_is_no_file_is_refused_and_holds_nobody_up(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "tuner-cpu.lock")

    with pytest.raises(SurroundingsError, match=r"tuner-cpu\.lock"):
        await a_launch("first", [], tmp_path)


async def test_what_a_stranger_wrote_into_the_file_is_shown_harmlessly(tmp_path: Path):
    log: list[str] = []
    async with turn(["cpu"], "first", directory=tmp_path, on_wait=ignore):
        (tmp_path / "tuner-cpu.lock").write_text(json.dumps({"pid": 2**22 + 1, "user": "eve\x1b[2J", "study": "a\nb"}))
        waiting = asyncio.create_task(a_launch("second", log, tmp_path))
        await until(lambda: bool(log))
    await waiting

    assert log[0] == (
        "second: the launch of study a b (process 4194305 of eve␛[2J, which has ended: its engine is being taken down)"
    )


async def test_a_lock_file_that_a_cleaner_removed_is_not_the_lock_any_more(tmp_path: Path):
    log: list[str] = []
    async with turn(["cpu"], "first", directory=tmp_path, on_wait=ignore):
        waiting = asyncio.create_task(a_launch("second", log, tmp_path))
        await until(lambda: bool(log))
        (tmp_path / "tuner-cpu.lock").unlink()
        await waiting
        async with turn(["cpu"], "third", directory=tmp_path, on_wait=ignore):
            pass

    assert log[-1] == "second ends"


async def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path):
    (tmp_path / "precious").write_text("x")
    (tmp_path / "tuner-cpu.lock").symlink_to(tmp_path / "precious")

    with pytest.raises(SurroundingsError, match="can't be opened"):
        await a_launch("first", [], tmp_path)

    assert (tmp_path / "precious").read_text() == "x"


def test_lock_files_are_for_every_user(tmp_path: Path):
    before = os.umask(0o077)
    try:
        asyncio.run(a_launch("first", [], tmp_path, "GPU-1/../../x"))
    finally:
        os.umask(before)

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"tuner-GPU-1-------x.lock": 0o666, "tuner-GPU-1-------x.next": 0o666}


async def test_a_cancelled_wait_lets_the_next_one_through(tmp_path: Path):
    log: list[str] = []
    async with turn(["cpu"], "first", directory=tmp_path, on_wait=ignore):
        impatient = asyncio.create_task(a_launch("impatient", log, tmp_path))
        await until(lambda: bool(log))
        impatient.cancel()
        with suppress(asyncio.CancelledError):
            await impatient
    await a_launch("next", log, tmp_path)

    assert log[-2:] == ["next begins", "next ends"]


def test_the_directory_is_the_same_for_every_user_unless_told():
    assert str(lock_directory({"XDG_RUNTIME_DIR": "/run/user/1", "TMPDIR": "/private"})) == "/tmp"  # noqa: S108
    assert str(lock_directory({"TUNER_LOCK_DIR": "/shared"})) == "/shared"
