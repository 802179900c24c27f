"""The tuner's end of a supervised engine: start it, learn of its end, stop it.

Nothing here kills vLLM while the supervisor lives; when the supervisor itself was killed, the engine's session is
killed from here. Cancelling a caller never leaves an engine behind: the supervisor finishes what was begun, and closes
everything when its pipe closes.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import tuner
from tuner.domain.errors import SurroundingsError
from tuner.server import logfile, procfs
from tuner.server.supervisor import Spec

_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
_ORPHAN_POLL = 0.05
_ORPHAN_PATIENCE = 5.0
_TRACKER_PATIENCE = 5.0


class Cause(StrEnum):
    """Who ended an engine."""

    ASKED = "asked"
    ITSELF = "itself"
    OUTSIDE = "outside"
    """Somebody killed or stopped the supervisor."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an engine ended."""

    exit_code: int | None
    """The leader's, negative for a signal; None when nobody saw it."""
    cause: Cause
    killed: tuple[str, ...] = ()
    """Titles of the processes that did not go by themselves."""
    survivors: tuple[str, ...] = ()
    """Titles of the processes that could not even be killed."""


class EngineProcess:
    """A running engine. Make one with `spawn`."""

    def __init__(self, supervisor: Process, spec: Spec) -> None:
        """Take over a supervisor that has not read its spec yet."""
        self._supervisor = supervisor
        self._spec = spec
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = loop.create_future()
        self._exited: asyncio.Future[int | None] = loop.create_future()
        self._ended: asyncio.Future[Ended] = loop.create_future()
        self._reader = asyncio.create_task(self._read_events())
        self._cause = Cause.OUTSIDE
        self._last: Ended | None = None
        self.pid = 0
        """The leader's pid, which is its session's number too."""
        self._start_time = 0

    @classmethod
    async def spawn(
        cls,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        log_path: Path,
        secrets: Sequence[str] = (),
        held: Sequence[int] = (),
    ) -> Self:
        """Start an engine under a supervisor, which inherits the descriptors in `held` and holds them to its end.

        Raises:
            SurroundingsError: the interpreter or the log's directory is not usable.
        """
        spec = _spec(argv, env, log_path, secrets)
        supervisor = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "tuner.server.supervisor",
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment(), start_new_session=True, pass_fds=held,
        )  # fmt: skip
        engine = cls(supervisor, spec)
        engine._send(json.dumps(asdict(spec)))
        try:
            await asyncio.shield(engine._started)
        except SurroundingsError:
            await asyncio.shield(engine._ended)
            raise
        except asyncio.CancelledError:
            await engine.kill()
            raise
        return engine

    @property
    def supervisor_pid(self) -> int:
        """The supervisor's pid: every process of the engine is below it."""
        return self._supervisor.pid

    @property
    def has_exited(self) -> bool:
        """Whether the leader ended."""
        return self._exited.done()

    async def wait_exit(self) -> int | None:
        """Return the leader's exit code, as soon as it ends, whoever ended it."""
        return await asyncio.shield(self._exited)

    async def wait_exit_for(self, seconds: float) -> None:
        """Return when the leader ends, or after so many seconds."""
        await asyncio.wait({self._exited}, timeout=seconds)

    async def stop(self) -> Ended:
        """Take everything down gently, and return when it is gone. Calling it again is harmless."""
        return await self._ask("stop")

    async def kill(self) -> Ended:
        """Take everything down without asking, and return when it is gone."""
        return await self._ask("kill")

    async def _ask(self, command: str) -> Ended:
        if not self._exited.done():
            self._cause = Cause.ASKED
        self._send(command)
        return await asyncio.shield(self._ended)

    def _send(self, line: str) -> None:
        stdin = self._supervisor.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(line.encode() + b"\n")

    async def _read_events(self) -> None:
        """Follow the supervisor to its end; only then is the engine's end told."""
        supervisor = self._supervisor
        assert supervisor.stdout is not None  # noqa: S101  # pipes were asked for
        assert supervisor.stdin is not None  # noqa: S101
        async for line in supervisor.stdout:
            self._on_event(json.loads(line))
        await supervisor.wait()
        supervisor.stdin.close()
        with suppress(ConnectionError):
            await supervisor.stdin.wait_closed()
        if self._last is None:
            self._last = await self._bury_orphans()
        self._settle_exit(self._last.exit_code)
        self._ended.set_result(self._last)

    def _on_event(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "started":
                self.pid, self._start_time = event["pid"], event["start_time"]
                self._started.set_result(None)
            case "exited":
                self._cause = Cause.ITSELF
                self._settle_exit(event["code"])
            case "stopped":
                self._last = Ended(event["code"], self._cause, tuple(event["killed"]), tuple(event["survivors"]))
            case _:
                self._last = Ended(None, self._cause)
                self._fail(f"the engine can't be started: {event['error']}")

    def _settle_exit(self, exit_code: int | None) -> None:
        if not self._exited.done():
            self._exited.set_result(exit_code)

    def _fail(self, what: str) -> None:
        if not self._started.done():
            self._started.set_exception(SurroundingsError(what, advice="Check --vllm-python and the disk."))

    async def _bury_orphans(self) -> Ended:
        """Kill the engine's session: the supervisor died without doing so."""
        self._fail("the supervisor of the engine did not start")
        self._settle_exit(None)
        killed = await self._kill_members(trackers=False)
        if await self._survives(_TRACKER_PATIENCE):
            killed += await self._kill_members(trackers=True)
        logfile.scrub(Path(self._spec.log_path), self._spec.secrets)
        return Ended(None, self._cause, tuple(killed), tuple(process.title for process in self._members()))

    async def _kill_members(self, *, trackers: bool) -> list[str]:
        killed: dict[int, str] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(_ORPHAN_PATIENCE):
                while alive := [one for one in self._members() if trackers or not one.is_resource_tracker]:
                    for process in alive:
                        killed.setdefault(process.pid, process.title)
                        process.send(signal.SIGKILL)
                    await asyncio.sleep(_ORPHAN_POLL)
        return list(killed.values())

    async def _survives(self, seconds: float) -> bool:
        for _ in range(int(seconds / _ORPHAN_POLL)):
            if not self._members():
                return False
            await asyncio.sleep(_ORPHAN_POLL)
        return True

    def _members(self) -> list[procfs.Process]:
        return procfs.session_members(self.pid, self._start_time) if self.pid else []


def _spec(argv: Sequence[str], env: Mapping[str, str], log_path: Path, secrets: Sequence[str]) -> Spec:
    return Spec(tuple(argv), dict(env), str(Path.cwd()), str(log_path.absolute()), tuple(secrets), os.getpid())


def _environment() -> dict[str, str]:
    """Return the supervisor's own environment: it has to find this package, and nothing else."""
    package = str(Path(tuner.__file__).resolve().parents[1])
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | {"PYTHONPATH": package}
