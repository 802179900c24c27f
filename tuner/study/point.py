"""One load point of a running server, with everything that is read meanwhile.

Owns the job, the scrapes, the machine's samples, and the figures they come to. Decides neither which load point comes
next nor what it means.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tuner.domain.arrivals import Arrivals
from tuner.domain.events import Observer, PhaseStarted, Progress
from tuner.domain.flags import FlagValue
from tuner.domain.load import GiveUp, LoadJob, LoadResult
from tuner.domain.measurement import LoadPoint, Scrape
from tuner.domain.slo import Slo
from tuner.domain.telemetry import MachineSample
from tuner.domain.trial import Purpose
from tuner.load.process import run_job
from tuner.metrics.evidence import Measured, evidence
from tuner.metrics.reconcile import may_share_prefix, reconcile
from tuner.metrics.sessions import lead_of
from tuner.metrics.summary import summarise
from tuner.metrics.windows import steady_window
from tuner.server.launch import RunningServer
from tuner.study.setting import Setting
from tuner.telemetry.figures import server_figures
from tuner.telemetry.gpu import visible_gpus
from tuner.telemetry.machine_figures import machine_figures
from tuner.telemetry.sampler import sampling
from tuner.telemetry.scraper import scraping

_CLOSED_LOOP_FACTOR = 20
"""A closed loop, whose length the server decides, may take this many times the plan's drain."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the capacity that has begun."""

    slos: tuple[Slo, ...]
    found: tuple[Measured, ...]
    """What its load points said so far, judged by these SLOs."""


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
    purpose: Purpose = Purpose.MEASURE
    retried: bool = False
    """Whether an earlier launch for the same purpose failed just now."""
    search: Search | None = None
    """A search to go on with; None for one from the beginning, under the study's own SLOs."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A load point with its raw readings."""

    point: LoadPoint
    result: LoadResult
    scrapes: tuple[Scrape, ...]
    samples: tuple[MachineSample, ...]
    seconds: float
    """How long it took in all, the reading before and after included."""

    def evidence(self, slos: Sequence[Slo]) -> Measured:
        """Return what it says to the search for the capacity.

        Raises:
            ValueError: it was no open-loop load point at one rate.
        """
        point = self.point
        valid = not point.summary.invalid
        return evidence(self.result, point.arrivals, slos, requests=point.requests, seconds=self.seconds, valid=valid)


class Meter:
    """Loads one running server for one trial."""

    def __init__(
        self,
        setting: Setting,
        assignment: Assignment,
        server: RunningServer,
        notify: Observer,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the server, what is asked of it, and who is told of every phase."""
        self._setting = setting
        self._spec = setting.spec
        self._assignment = assignment
        self._server = server
        self._notify = notify
        self._clock = clock

    async def measure(
        self, arrivals: Arrivals, requests: int, index: int, *, give_up: tuple[GiveUp, ...] = (), why: str = ""
    ) -> Measurement:
        """Measure one load point.

        Args:
            arrivals: how requests arrive.
            requests: how many.
            index: position within this launch, from 0; it seeds the load.
            give_up: when its outcome is certain.
            why: why it is measured, in a few words.
        """
        self.phase(_label(index, arrivals, why), _expected_seconds(arrivals, requests))
        began, started = datetime.now(UTC), self._clock()
        async with AsyncExitStack() as stack:
            scraper = await stack.enter_async_context(scraping(self._server.url, api_key=self._server.api_key))
            sampler = await stack.enter_async_context(sampling(session_id=self._server.pid, gpus=self._gpus()))
            result = await self.run(arrivals, requests, index, give_up=give_up)
        scrapes, samples = scraper.scrapes(result.started_at), sampler.samples(result.started_at)
        point = self._point(arrivals, requests, index, began, result, scrapes, samples, drained=scraper.drained)
        return Measurement(point, result, scrapes, samples, self._clock() - started)

    async def run(
        self, arrivals: Arrivals, requests: int, index: int, *, give_up: tuple[GiveUp, ...] = ()
    ) -> LoadResult:
        """Load the server and return what came back."""
        job = LoadJob(
            url=self._server.url,
            model=self._server.served_name,
            vocabulary=self._setting.vocabulary,
            workload=self._spec.workload,
            arrivals=arrivals,
            requests=requests,
            deadline_s=self._limit(arrivals, requests),
            give_up=give_up,
            seed=self._seed(index),
        )
        server = self._server
        return await run_job(job, api_key=server.api_key, on_progress=self._progress, secrets=server.secrets)

    def phase(self, phase: str, expected: float | None) -> None:
        """Tell of a phase that takes so many seconds, where that is known."""
        self._notify(PhaseStarted(self._assignment.number, phase, expected))

    def _point(
        self,
        arrivals: Arrivals,
        requests: int,
        index: int,
        began: datetime,
        result: LoadResult,
        scrapes: tuple[Scrape, ...],
        samples: tuple[MachineSample, ...],
        *,
        drained: bool,
    ) -> LoadPoint:
        workload = self._spec.workload
        server = server_figures(scrapes, result.duration)
        window = None if result.given_up else steady_window(result.records, arrivals)
        return LoadPoint(
            index=self._assignment.first_index + index,
            attempt=self._assignment.attempt,
            arrivals=arrivals,
            requests=requests,
            seed=self._seed(index),
            started_at=began,
            duration=result.duration,
            summary=summarise(result, arrivals, self._spec.slos, window, lead_s=lead_of(workload)),
            server=server,
            client=result.client,
            machine=machine_figures(samples, result.duration),
            reconciliation=reconcile(result, server, drained=drained, shares_prefix=may_share_prefix(workload)),
        )

    def _gpus(self) -> tuple[int | str, ...] | None:
        return visible_gpus(self._spec.engine.gpus) if self._setting.info.has_gpu else ()

    def _limit(self, arrivals: Arrivals, requests: int) -> float:
        expected = _expected_seconds(arrivals, requests)
        if expected is None:
            return self._spec.load.drain * _CLOSED_LOOP_FACTOR
        return expected * (1 + 4 / math.sqrt(requests)) + self._spec.load.drain

    def _seed(self, index: int) -> int:
        parts = [self._spec.sampler.seed, self._assignment.number, self._assignment.attempt, index]
        return int(np.random.SeedSequence(parts).generate_state(1)[0])

    def _progress(self, done: int, total: int) -> None:
        self._notify(Progress(self._assignment.number, done, total))


def _expected_seconds(arrivals: Arrivals, requests: int) -> float | None:
    """Return how long the arrivals of a load point last on average, None where the server decides."""
    return requests / arrivals.offered_rps if arrivals.offered_rps else None


def _label(index: int, arrivals: Arrivals, why: str) -> str:
    return f"load point {index + 1} ({arrivals.label}{why and ', '}{why})"
