"""Rows 17 and 18: hostile names run nothing, become no flag, and stay inert; secrets stand in no file and no column."""

import asyncio
import contextlib
import json
import random
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.fakes.workbench import FAKE_VLLM
from tests.torture import aftermath
from tests.torture.bed import Bed
from tests.torture.report import Row
from tuner.domain.errors import InputError, LaunchError, SurroundingsError
from tuner.server.launch import LaunchHandle, LaunchRequest
from tuner.study.file import study_from

CANARY = "hf_CANARY0123456789"
_PARTS = (
    ";touch {bait}", "$(touch {bait})", "`touch {bait}`", "| touch {bait}", "&& touch {bait}", "\ntouch {bait}",
    "--host=0.0.0.0", "-h", "--api-key=x", "--trust-remote-code", "<script>alert(1)</script>", "../../etc/passwd",
    "'; DROP TABLE tuner_trials; --", "\x1b[2J", "\x00", "[bold red]", "%s%n", "{{7*7}}", "ünï ⚡", " ", "=", "a,b",
    "\\", '"', "!!python/object/apply:os.system ['true']", "*", "~", "#", "@file", "\u202e", "\r",
)  # fmt: skip
_OWNED = ("--host=", "--port=", "--served-model-name=", "--model=")


def names(directory: Path, count: int, seed: int = 0) -> Row:
    """Give hostile models, study names, flags and values: refused in words, or passed on as the one word they are."""
    row = Row("17", "hostile names, flags and values")
    draw = random.Random(seed)  # noqa: S311  # no secret
    directory.mkdir(parents=True, exist_ok=True)
    refused = 0
    for number in range(count):
        bait, launched = directory / f"bait-{number}", directory / f"launched-{number}"
        word = "".join(draw.sample(_PARTS, draw.randint(1, 3))).replace("{bait}", str(bait))
        found, was_refused = _tried(directory, word, number % 4, launched)
        refused += was_refused
        row.add([*found, *([f"executed: {word!r}"] if bait.exists() else [])])
    row.notes = f"{refused} refused in words, {count - refused} passed on whole"
    return row


def _tried(directory: Path, word: str, place: int, launched: Path) -> tuple[list[str], bool]:
    """Use a word as a model, a value, or a flag's or study's name; return what went wrong, and if it was refused."""
    data: dict[str, object] = {
        "study": word if place == 3 else "night",  # one place in four
        "model": word if place == 0 else "tiny",
        "target_rps": 1,
        "slos": {"ttft_p95": "1s"},
        "search_space": {"parameters": {"max-num-seqs": {"type": "int", "low": 1, "high": 4}}},
        "engine": {"flags": {word: 1} if place == 2 else {"dtype": word} if place == 1 else {}},
    }
    try:
        spec = study_from(data, source="hostile.yaml", relative_to=directory)
        argv = _argv(spec.model, dict(spec.engine.flags), launched)
    except (InputError, SurroundingsError):
        return [], True
    values = {0: f"--model={word}", 1: f"--dtype={word}"}
    found = [] if place not in values or values[place] in argv else [f"changed: {word!r} became {argv}"]
    strangers = [each for each in argv if not each.startswith((*_OWNED, "--dtype="))]
    if place != 2 and strangers:
        found.append(f"flag: {word!r} became {strangers}")
    return found, False


def _argv(model: str, flags: dict[str, object], launched: Path) -> list[str]:
    """Launch the fake engine, which refuses such a thing, and return the arguments that it saw."""
    request = LaunchRequest(
        python=FAKE_VLLM, entrypoint="api_server", model=model, flags=flags,  # pyright: ignore[reportArgumentType]
        env={"FAKE_VLLM_ARGV": str(launched)}, gpus=None, port=None, start_timeout=20,
        log_path=launched.with_suffix(".log"),
    )  # fmt: skip

    async def launch() -> None:
        handle = LaunchHandle(request)
        try:
            with contextlib.suppress(LaunchError):
                await handle.start()
        finally:
            await handle.stop()

    asyncio.run(launch())
    return json.loads(launched.read_text().splitlines()[-1]) if launched.exists() else []


def canary(directory: Path) -> Row:
    """Run a study whose environment holds secrets, on an engine that logs them, and look for them everywhere."""
    row = Row("18", "secrets in the environment, an engine that logs them, a tuner killed meanwhile")
    bed = Bed(directory)
    env = {"HF_TOKEN": CANARY, "AWS_SECRET_ACCESS_KEY": CANARY, "HTTPS_PROXY": f"http://user:{CANARY}@127.0.0.1:9"}
    code, said = bed.run("run", bed.study(mode="leaks_secrets", trials=1), env=env)
    row.add([] if code == 0 else [f"code: {code}: {said[-300:]}"])
    running = bed.start("run", bed.study(mode="leaks_secrets", trials=2), env=env)
    running.wait_for("trial 1: warm-up")
    running.process.kill()
    running.wait()
    seconds = bed.cleanup_seconds()
    row.add(_found(bed), cleanup_s=seconds)
    row.violations += ["found: in what the tuner said"] if CANARY in said + "".join(running.lines) else []
    return row


def _found(bed: Bed) -> Iterator[str]:
    for path in bed.directory.rglob("*"):
        if path.is_file() and CANARY.encode() in path.read_bytes():
            yield f"found: {path}"
    with closing(sqlite3.connect(bed.database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for record in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608  # its own tables
                if any(CANARY.encode() in part for value in record for part in _readings(value)):
                    yield f"found: in {table}"
    yield from aftermath.leftovers(bed.directory)


def _readings(value: object) -> Iterator[bytes]:
    """Yield a column's value as bytes, and whatever deflated data stands in it."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    yield raw
    for start in range(min(len(raw), 16)):
        with contextlib.suppress(zlib.error):
            yield zlib.decompress(raw[start:])
            return
