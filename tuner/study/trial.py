"""One trial: launch, warm up, load, scrape, store, stop.

Whatever happens, the server is stopped before this returns and what was measured is in the store. A failure leaves as
a `LaunchError` that carries its kind.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from tuner.domain.errors import LaunchError
from tuner.domain.events import LoadPointMeasured, Noted, Observer, PhaseStarted
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.load import Outcome
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.trial import Purpose
from tuner.server.launch import LaunchEnd, LaunchHandle, LaunchRequest, RunningServer
from tuner.store.writer import Store
from tuner.study.place import Place
from tuner.study.point import Assignment, Measurement, Meter
from tuner.study.setting import Setting
from tuner.study.visit import Visit
from tuner.telemetry.watchdog import Watchdog, watching

_GRACE_FOR_DEATH_S = 8.0
"""How long a server whose streams broke is given to die: the engine's death shows up to 5 s later (vLLM 0.32)."""
_WHY = "vLLM listens there by itself; a firewall keeps them out (docs/security.md)"
_BROKEN = frozenset({Outcome.STREAM_ERROR, Outcome.CUT, Outcome.REFUSED})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a launch brought."""

    points: tuple[LoadPoint, ...]
    capacity: Capacity


class TrialRunner:
    """Measures one trial after another, each on a launch of its own."""

    def __init__(self, setting: Setting, place: Place, store: Store, log_dir: Path, notify: Observer) -> None:
        """Take what all trials share.

        Args:
            setting: The study, ready to run.
            place: Where launches run.
            store: Where launches and load points go, as they happen.
            log_dir: One log file for each launch.
            notify: Told of every phase.
        """
        self._setting = setting
        self._place = place
        self._store = store
        self._log_dir = log_dir
        self._notify = notify
        self._warned = False

    async def measure(self, assignment: Assignment) -> Measured:
        """Launch, load and stop one server.

        Args:
            assignment: What to measure.

        Returns:
            The load points, all stored, and the capacity that they show.

        Raises:
            LaunchError: the launch or its load failed; the server is gone.
        """
        async with self._taken(assignment) as held, self._launched(assignment, held) as (server, launch, launch_id):
            visit = self._visit(assignment, server)
            points: list[LoadPoint] = []
            async with self._watching(server) as watchdog:
                await _while_alive(launch, watchdog, visit.warm_up())
                async for measured in visit.measure(lambda work: _while_alive(launch, watchdog, work)):
                    self._save(assignment, launch_id, measured)
                    points.append(measured.point)
                    await _while_alive(launch, watchdog, _settled(measured, watchdog))
            if assignment.search is None:
                self._store.launch_measured(launch_id, visit.capacity)
            return Measured(tuple(points), visit.capacity)

    def _visit(self, assignment: Assignment, server: RunningServer) -> Visit:
        meter = Meter(self._setting, assignment, server, self._notify)
        saturate = assignment.purpose is Purpose.MEASURE
        return Visit(self._setting.spec, meter, search=assignment.search, saturate=saturate)

    def _watching(self, server: RunningServer) -> AbstractAsyncContextManager[Watchdog]:
        patience = self._setting.spec.engine.hang_timeout
        return watching(server.url, server.served_name, api_key=server.api_key, patience=patience)

    def _save(self, assignment: Assignment, launch_id: int, measured: Measurement) -> None:
        self._store.save_load_point(
            assignment.trial_id,
            launch_id,
            measured.point,
            measured.result.records,
            measured.scrapes,
            measured.samples,
        )
        self._notify(LoadPointMeasured(assignment.number, measured.point))

    def _taken(self, assignment: Assignment) -> AbstractAsyncContextManager[tuple[int, ...]]:
        def waiting(what: str) -> None:
            self._notify(PhaseStarted(assignment.number, what))

        return self._place.taken({**self._setting.base_flags, **assignment.flags}, waiting)

    @asynccontextmanager
    async def _launched(
        self, assignment: Assignment, held: tuple[int, ...]
    ) -> AsyncGenerator[tuple[RunningServer, LaunchHandle, int]]:
        request = self._request(assignment, held)
        launch = LaunchHandle(request)
        launch_id = self._store.begin_launch(
            assignment.trial_id,
            assignment.attempt,
            purpose=assignment.purpose,
            argv=(_shown(launch.argv[0]), *launch.argv[1:]),
            log_path=_shown(request.log_path),
            started_at=datetime.now(UTC),
            provenance=self._setting.provenance,
        )
        failure: Failure | None = None
        try:
            self._notify(PhaseStarted(assignment.number, "start-up"))
            server = await launch.start()
            self._store.launch_ready(launch_id, server.ready_after)
            self._warn_of(server.exposed)
            yield server, launch, launch_id
        except LaunchError as error:
            failure = error.failure
            raise
        except _ServerDiedError as error:
            failure = (await _stopped(launch)).failure or _died_silently()
            raise LaunchError(failure) from error
        finally:
            self._notify(PhaseStarted(assignment.number, "stop"))
            end = await _stopped(launch)
            self._store.end_launch(launch_id, datetime.now(UTC), end.exit_code, failure, end.resolved)
            self._mend(assignment, failure)

    def _warn_of(self, exposed: tuple[str, ...]) -> None:
        """Say once a session that other machines can reach the engine; every launch keeps where."""
        if exposed and not self._warned:
            self._warned = True
            self._notify(Noted(f"other machines can reach the engine's processes at {', '.join(exposed)}: {_WHY}"))

    def _mend(self, assignment: Assignment, failure: Failure | None) -> None:
        """Wipe a poisoned compile cache before the second launch; a third failure is not the cache's."""
        poisoned = failure is not None and failure.kind is FailureKind.COMPILE_CACHE
        if poisoned and not assignment.retried and self._place.cache.wipe():
            self._notify(Noted(f"wiped the compile cache of the study, {self._place.cache.directory}"))

    def _request(self, assignment: Assignment, held: tuple[int, ...]) -> LaunchRequest:
        setting = self._setting
        return LaunchRequest(
            python=setting.python,
            entrypoint=setting.info.entrypoint,
            model=setting.spec.model,
            flags={**setting.base_flags, **assignment.flags},
            env={**self._place.cache.environment, **setting.spec.engine.env},
            gpus=setting.spec.engine.gpus,
            port=setting.spec.engine.port,
            start_timeout=setting.spec.engine.start_timeout,
            log_path=self._log_dir / f"trial-{assignment.number:04d}-launch-{assignment.attempt}.log",
            held=held,
        )


class _ServerDiedError(Exception):
    """The engine's process ended while it was needed."""


async def _settled(measured: Measurement, watchdog: Watchdog) -> None:
    """Give an engine that broke the time to die, and one that fell silent the time to answer or to count as hung."""
    outcomes = {record.outcome for record in measured.result.records}
    if outcomes & _BROKEN:
        await asyncio.sleep(_GRACE_FOR_DEATH_S)
    if Outcome.TIMEOUT in outcomes:
        await watchdog.answered()


async def _while_alive(launch: LaunchHandle, watchdog: Watchdog, work: Coroutine[None, None, T]) -> T:
    """Await the work, unless the server dies or its engine hangs first."""
    working = asyncio.ensure_future(work)
    dying = asyncio.ensure_future(launch.wait_exit())
    try:
        await asyncio.wait({working, dying, watchdog.hung}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if dying.done():
            raise _ServerDiedError
        raise LaunchError(await launch.explain(watchdog.hung.result(), grace=0.0))
    finally:
        for task in (working, dying):
            task.cancel()
        await asyncio.gather(working, dying, return_exceptions=True)


def _died_silently() -> Failure:
    return Failure(kind=FailureKind.ENGINE_DEAD, evidence="the server's process ended while it was under load")


def _shown(path: str | Path) -> str:
    """Return a path as it is stored: relative to the current directory where it lies below it."""
    path = Path(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


async def _stopped(launch: LaunchHandle) -> LaunchEnd:
    """Stop the server even when this task is cancelled meanwhile; a second cancellation skips the polite part."""
    stopping = asyncio.ensure_future(launch.stop())
    try:
        return await asyncio.shield(stopping)
    except asyncio.CancelledError:
        await launch.kill()
        await stopping
        raise
