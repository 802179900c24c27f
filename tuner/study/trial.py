"""One trial: launch, warm up, load, scrape, store, stop.

Whatever happens, the server is stopped before this returns and what was measured is in the store. A failure leaves as
a `LaunchError` that carries its kind.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np

from tuner.domain.arrivals import Arrivals, ClosedLoop, PoissonArrivals
from tuner.domain.errors import LaunchError
from tuner.domain.events import LoadPointMeasured, Observer, PhaseStarted, Progress
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.load import LoadJob, LoadResult, Outcome
from tuner.domain.measurement import LoadPoint, Scrape
from tuner.load.process import run_job
from tuner.metrics.ladder import most_points, next_rate
from tuner.metrics.summary import summarise
from tuner.server.launch import LaunchEnd, LaunchHandle, LaunchRequest, RunningServer
from tuner.store.writer import Store
from tuner.study.setting import Setting
from tuner.telemetry.figures import server_figures
from tuner.telemetry.scraper import scraping

_GRACE_FOR_DEATH_S = 8.0
"""How long a server whose streams broke is given to die: the engine's death shows up to 5 s later (vLLM 0.32)."""
_BROKEN = frozenset({Outcome.STREAM_ERROR, Outcome.CUT, Outcome.REFUSED})
_WARMUP_INDEX = 1_000_000
"""Load-point index that seeds the warm-up: no measured point ever has it."""
_WARMUP_FACTOR = 20
"""A warm-up may take this many times the plan's drain."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to be measured: an asked trial and its flags."""

    trial_id: int
    number: int
    flags: dict[str, FlagValue]
    attempt: int = 1
    """1 for the trial's first launch."""
    first_index: int = 0
    """Index of its next load point: earlier launches of the trial may have measured some."""


class TrialRunner:
    """Measures one trial after another, each on a launch of its own."""

    def __init__(self, setting: Setting, store: Store, log_dir: Path, notify: Observer) -> None:
        """Take what all trials share.

        Args:
            setting: The study, ready to run.
            store: Where launches and load points go, as they happen.
            log_dir: One log file for each launch.
            notify: Told of every phase.
        """
        self._setting = setting
        self._store = store
        self._log_dir = log_dir
        self._notify = notify

    async def measure(self, assignment: Assignment) -> tuple[LoadPoint, ...]:
        """Launch, load and stop one server.

        Args:
            assignment: What to measure.

        Returns:
            The load points, all stored.

        Raises:
            LaunchError: the launch or its load failed; the server is gone.
        """
        async with self._launched(assignment) as (server, launch, launch_id):
            visit = _Visit(self._setting, assignment, server, self._notify)
            points: list[LoadPoint] = []
            await _while_alive(launch, visit.warm_up())
            async for measured in visit.climb(lambda work: _while_alive(launch, work), points):
                self._store.save_load_point(
                    assignment.trial_id, launch_id, measured.point, measured.result.records, measured.scrapes
                )
                points.append(measured.point)
                self._notify(LoadPointMeasured(assignment.number, measured.point))
                if any(record.outcome in _BROKEN for record in measured.result.records):
                    await _while_alive(launch, asyncio.sleep(_GRACE_FOR_DEATH_S))
            return tuple(points)

    @asynccontextmanager
    async def _launched(self, assignment: Assignment) -> AsyncGenerator[tuple[RunningServer, LaunchHandle, int]]:
        request = self._request(assignment)
        launch = LaunchHandle(request)
        launch_id = self._store.begin_launch(
            assignment.trial_id,
            assignment.attempt,
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

    def _request(self, assignment: Assignment) -> LaunchRequest:
        setting = self._setting
        return LaunchRequest(
            python=setting.python,
            entrypoint=setting.info.entrypoint,
            model=setting.spec.model,
            flags={**setting.base_flags, **assignment.flags},
            env=setting.spec.engine.env,
            gpus=setting.spec.engine.gpus,
            port=setting.spec.engine.port,
            start_timeout=setting.spec.engine.start_timeout,
            log_path=self._log_dir / f"trial-{assignment.number:04d}-launch-{assignment.attempt}.log",
        )


@dataclass(frozen=True, slots=True)
class _Measured:
    point: LoadPoint
    result: LoadResult
    scrapes: tuple[Scrape, ...]


class _Visit:
    """The load on one running server: the warm-up, then one load point after another."""

    def __init__(self, setting: Setting, assignment: Assignment, server: RunningServer, notify: Observer) -> None:
        self._spec = setting.spec
        self._vocabulary = setting.vocabulary
        self._assignment = assignment
        self._server = server
        self._notify = notify

    async def warm_up(self) -> None:
        """Load the server without measuring.

        Raises:
            LaunchError: not one request came back.
        """
        plan = self._spec.load
        self._phase("warm-up", None)
        arrivals = ClosedLoop(concurrency=plan.warmup_concurrency)
        result = await self._run(arrivals, plan.warmup_requests, _WARMUP_INDEX, plan.drain * _WARMUP_FACTOR)
        if not any(record.outcome is Outcome.OK for record in result.records):
            raise LaunchError(_nothing_came_back("warm-up", result))

    async def climb(
        self,
        guarded: Callable[[Coroutine[None, None, _Measured]], Coroutine[None, None, _Measured]],
        points: Sequence[LoadPoint],
    ) -> AsyncGenerator[_Measured]:
        """Yield measured load points until the ladder ends, then the closed-loop ones.

        Args:
            guarded: Wraps the measuring of one point, so that it ends when the server dies.
            points: What was measured so far; the caller appends to it.
        """
        plan = self._spec.load
        while (rate := next_rate(plan, self._spec.target_rps, points)) is not None:
            requests = plan.requests(rate)
            most = most_points(plan, self._spec.target_rps, points) + len(plan.concurrency)
            yield await guarded(self._measure(PoissonArrivals(rate=rate), requests, len(points), most))
        for users in plan.concurrency:
            requests = max(plan.min_requests, 4 * users)
            most = len(points) + len(plan.concurrency) - plan.concurrency.index(users)
            yield await guarded(self._measure(ClosedLoop(concurrency=users), requests, len(points), most))

    async def _measure(self, arrivals: Arrivals, requests: int, index: int, most: int) -> _Measured:
        phase = f"load point {index + 1} of at most {most} ({arrivals.label})"
        self._phase(phase, expected_seconds(arrivals, requests))
        began = datetime.now(UTC)
        async with scraping(self._server.url, api_key=self._server.api_key) as scraper:
            result = await self._run(arrivals, requests, index, self._limit(arrivals, requests))
        scrapes = scraper.scrapes(result.started_at)
        point = LoadPoint(
            index=self._assignment.first_index + index,
            attempt=self._assignment.attempt,
            arrivals=arrivals,
            requests=requests,
            seed=self._seed(index),
            started_at=began,
            duration=result.duration,
            summary=summarise(result, arrivals, self._spec.slos),
            server=server_figures(scrapes),
            client=result.client,
        )
        return _Measured(point, result, scrapes)

    async def _run(self, arrivals: Arrivals, requests: int, index: int, limit: float) -> LoadResult:
        job = LoadJob(
            url=self._server.url,
            model=self._server.served_name,
            vocabulary=self._vocabulary,
            workload=self._spec.workload,
            arrivals=arrivals,
            requests=requests,
            deadline_s=limit,
            seed=self._seed(index),
        )
        return await run_job(job, api_key=self._server.api_key, on_progress=self._progress)

    def _limit(self, arrivals: Arrivals, requests: int) -> float:
        expected = expected_seconds(arrivals, requests)
        if expected is None:
            return self._spec.load.drain * _WARMUP_FACTOR
        return expected * (1 + 4 / math.sqrt(requests)) + self._spec.load.drain

    def _seed(self, index: int) -> int:
        parts = [self._spec.sampler.seed, self._assignment.number, self._assignment.attempt, index]
        return int(np.random.SeedSequence(parts).generate_state(1)[0])

    def _phase(self, phase: str, expected: float | None) -> None:
        self._notify(PhaseStarted(self._assignment.number, phase, expected))

    def _progress(self, done: int, total: int) -> None:
        self._notify(Progress(self._assignment.number, done, total))


def expected_seconds(arrivals: Arrivals, requests: int) -> float | None:
    """Return how long the arrivals of a load point last on average, None where the server decides."""
    return requests / arrivals.offered_rps if arrivals.offered_rps else None


class _ServerDiedError(Exception):
    """The engine's process ended while it was needed."""


async def _while_alive(launch: LaunchHandle, work: Coroutine[None, None, T]) -> T:
    """Await the work, unless the server dies first."""
    working = asyncio.ensure_future(work)
    dying = asyncio.ensure_future(launch.wait_exit())
    try:
        await asyncio.wait({working, dying}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _ServerDiedError
        return working.result()
    finally:
        for task in (working, dying):
            task.cancel()
        await asyncio.gather(working, dying, return_exceptions=True)


def _nothing_came_back(phase: str, result: LoadResult) -> Failure:
    first = result.records[0]
    evidence = f"no request of the {phase} succeeded; the first one: {first.error or first.outcome}"
    return Failure(kind=FailureKind.LOAD_FAILED, evidence=evidence)


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
