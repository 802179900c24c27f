"""One launch of a vLLM server, from its command line to its verified end.

A handle is used once: `start`, then `wait_exit` beside the load, then always `stop`. It owns the port's reservation,
the key, the nonce in the served name, and every process below the supervisor. It knows nothing of trials.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tuner.domain.errors import LaunchError
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import Flags
from tuner.domain.secrets import blanked, secret_values
from tuner.domain.trial import EXPOSED, STARTUP
from tuner.server import command, listening, logfile, ports
from tuner.server.diagnosis import diagnose, find, resolved_settings
from tuner.server.process import Cause, EngineProcess
from tuner.server.readiness import Probe
from tuner.server.startup import startup_phases


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What to start."""

    python: Path
    """The interpreter that has vLLM."""
    entrypoint: str
    """`command.CLI` or `command.API_SERVER`."""
    model: str
    flags: Flags
    env: Mapping[str, str]
    """Added to the allowed part of the tuner's own environment."""
    gpus: tuple[int, ...] | None
    port: int | None
    start_timeout: float
    """Seconds from the start to the first correct completion."""
    log_path: Path
    held: tuple[int, ...] = ()
    """Descriptors that have to stay open as long as anything of the engine runs, such as those of a lock."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that is ready."""

    url: str
    served_name: str
    api_key: str
    pid: int
    """The API server's, leader of the engine's session."""
    argv: tuple[str, ...]
    ready_after: float
    """Seconds from the start to the first correct completion."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What its answers must not bring into a result file."""
    exposed: tuple[str, ...] = ()
    """Where its processes listen beyond loopback: `0.0.0.0:29500 (process 4711, VLLM::Worker)`."""


@dataclass(slots=True)
class LaunchEnd:
    """How a launch ended."""

    exit_code: int | None
    failure: Failure | None
    """None when it ran until it was told to stop."""
    resolved: dict[str, Any] = field(default_factory=dict[str, Any])
    """Settings in force, read from the whole log; under `STARTUP` the seconds of each phase of the start, under
    `EXPOSED` where it listened beyond loopback."""
    survivors: tuple[str, ...] = ()
    """Titles of processes that could not be killed: the device can't be trusted any more."""


class LaunchHandle:
    """One launch. The port is reserved when the handle is made, so that `argv` is known before anything starts."""

    def __init__(
        self,
        request: LaunchRequest,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reserve the port and draw the nonce and the key.

        Raises:
            SurroundingsError: the fixed port is in use.
        """
        self._request = request
        self._clock = clock
        self._reservation = ports.reserve(request.port)
        self._port = int(self._reservation.getsockname()[1])
        self._api_key = secrets.token_urlsafe(24)
        self._served_name = f"tuner-{secrets.token_hex(6)}"
        self._env = command.server_environment(environ, request.env, api_key=self._api_key, gpus=request.gpus)
        self._secrets = secret_values(self._env)
        self._process: EngineProcess | None = None
        self._ready = False
        self._exposed: tuple[str, ...] = ()
        self._started_at = datetime.now(UTC)
        self._ready_after = 0.0
        self._end: LaunchEnd | None = None
        self.argv = command.server_argv(
            str(request.python), request.entrypoint, request.model, request.flags,
            host=ports.HOST, port=self._port, served_name=self._served_name,
        )  # fmt: skip
        """The command line, free of secrets."""

    async def __aenter__(self) -> Self:
        """Return the handle itself; `start` is the caller's."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop what runs."""
        await self.stop()

    async def start(self) -> RunningServer:
        """Start the server and return when it is ready. Whatever prevents that, nothing of it is left.

        Raises:
            LaunchError: it failed; the failure is classified.
            SurroundingsError: it could not be started at all.
        """
        started = self._clock()
        self._started_at = datetime.now(UTC)
        try:
            self._process = await EngineProcess.spawn(
                self.argv,
                self._env,
                log_path=self._request.log_path,
                secrets=self._secrets,
                held=self._request.held,
            )
            failure = await self._wait_until_ready(self._process)
            if failure is not None:
                raise LaunchError(await self.explain(failure, grace=0.0))
            self._ready_after = self._clock() - started
            self._exposed = await asyncio.to_thread(listening.beyond_loopback, self._process.supervisor_pid)
            self._ready = True
        finally:
            self._reservation.close()
            if not self._ready:
                await self.stop()
        return RunningServer(
            url=self._url,
            served_name=self._served_name,
            api_key=self._api_key,
            pid=self._process.pid,
            argv=self.argv,
            ready_after=self._ready_after,
            secrets=self._secrets,
            exposed=self._exposed,
        )

    async def wait_exit(self) -> int | None:
        """Return the exit code as soon as the server ends, whoever ended it. Cancelling it is harmless."""
        return await self._process.wait_exit() if self._process is not None else None

    async def stop(self) -> LaunchEnd:
        """Take everything down, verify that it is gone, and say how the launch ended. Calling it again is harmless."""
        self._reservation.close()
        if self._end is None:
            self._end = await self._finish(self._process) if self._process is not None else LaunchEnd(None, None)
        return self._end

    async def kill(self) -> None:
        """Take everything down without asking politely, also while a `stop` is under way."""
        if self._process is not None:
            await self._process.kill()

    async def explain(self, seen: Failure, *, grace: float = 5.0) -> Failure:
        """Stop, and return the failure that the server's log proves, else the one that was `seen` from outside.

        Args:
            seen: what the load or the start-up saw, such as broken streams.
            grace: seconds that a server which broke may take to end by itself, so that its log tells why.
        """
        if self._process is not None and self._end is None:
            await self._process.wait_exit_for(grace)
        end = await self.stop()
        if end.failure is None:
            end.failure = self._without_secrets(find(await self._read_log(), ready=self._ready) or seen)
        return end.failure

    @property
    def _url(self) -> str:
        return f"http://{ports.HOST}:{self._port}"

    async def _wait_until_ready(self, process: EngineProcess) -> Failure | None:
        """Race the probe against the engine's end and the deadline; return what was seen, None when it is ready."""
        probe = Probe(self._url, self._served_name, self._api_key)
        ready = asyncio.create_task(probe.wait_until_ready())
        exited = asyncio.create_task(process.wait_exit())
        try:
            await asyncio.wait(
                {ready, exited}, timeout=self._request.start_timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if exited.done():
                return Failure(kind=FailureKind.UNKNOWN, evidence=f"it ended with exit code {exited.result()}")
            return _refusal(ready) if ready.done() else self._timeout(probe)
        finally:
            for task in (ready, exited):
                task.cancel()
            await asyncio.gather(ready, exited, return_exceptions=True)

    def _timeout(self, probe: Probe) -> Failure:
        return Failure(
            kind=FailureKind.START_TIMEOUT,
            evidence=f"not ready after {self._request.start_timeout:g} s: {probe.seen}",
            advice="Raise engine.start_timeout if the model takes longer to load.",
        )

    async def _finish(self, process: EngineProcess) -> LaunchEnd:
        ended = await process.stop()
        log = await self._read_log()
        failure = None
        if ended.cause is Cause.ITSELF:
            failure = diagnose(log, exit_code=ended.exit_code, ready=self._ready)
        elif ended.cause is Cause.OUTSIDE:
            failure = Failure(kind=FailureKind.UNKNOWN, evidence="the server was stopped from outside the tuner")
        if failure is not None:
            failure = self._without_secrets(failure)
        return LaunchEnd(ended.exit_code, failure, self._resolved(log), ended.survivors)

    def _without_secrets(self, failure: Failure) -> Failure:
        """Return the failure as it may be stored and shown: what a server answered is in no scrubbed log."""
        evidence, advice = (blanked(text, self._secrets) for text in (failure.evidence, failure.advice))
        return Failure(kind=failure.kind, evidence=evidence, advice=advice)

    def _resolved(self, log: str) -> dict[str, Any]:
        settings = resolved_settings(log)
        if self._ready:
            local = self._started_at.astimezone().replace(tzinfo=None)
            phases = startup_phases(log, started=local, ready_after=self._ready_after)
            settings |= {STARTUP: phases} if phases else {}
        if self._exposed:
            settings[EXPOSED] = list(self._exposed)
        return settings

    async def _read_log(self) -> str:
        return await asyncio.to_thread(logfile.read, self._request.log_path)


def _refusal(ready: asyncio.Task[None]) -> Failure | None:
    try:
        return ready.result()
    except LaunchError as error:
        return error.failure
