"""The load on one running server: the warm-up, then one load point after another, with all that is read meanwhile.

Owns what is measured and in which order; neither starts nor stops a server, and stores nothing.
"""

import math
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tuner.domain.arrivals import Arrivals, ClosedLoop, PoissonArrivals
from tuner.domain.errors import LaunchError
from tuner.domain.events import Observer, PhaseStarted, Progress
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.load import LoadJob, LoadResult, Outcome
from tuner.domain.measurement import LoadPoint, Scrape
from tuner.load.process import run_job
from tuner.metrics.ladder import most_points, next_rate
from tuner.metrics.summary import summarise
from tuner.server.launch import RunningServer
from tuner.study.setting import Setting
from tuner.telemetry.figures import server_figures
from tuner.telemetry.scraper import scraping

_WARMUP_INDEX = 1_000_000
"""Load-point index that seeds the warm-up: no measured point ever has it."""
_WARMUP_FACTOR = 20
"""A warm-up may take this many times the plan's drain."""


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


@dataclass(frozen=True, slots=True)
class Measured:
    """A load point with its raw readings."""

    point: LoadPoint
    result: LoadResult
    scrapes: tuple[Scrape, ...]


class Visit:
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
        guarded: Callable[[Coroutine[None, None, Measured]], Coroutine[None, None, Measured]],
        points: Sequence[LoadPoint],
    ) -> AsyncGenerator[Measured]:
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

    async def _measure(self, arrivals: Arrivals, requests: int, index: int, most: int) -> Measured:
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
        return Measured(point, result, scrapes)

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


def _nothing_came_back(phase: str, result: LoadResult) -> Failure:
    first = result.records[0]
    evidence = f"no request of the {phase} succeeded; the first one: {first.error or first.outcome}"
    return Failure(kind=FailureKind.LOAD_FAILED, evidence=evidence)
