"""Owns one load point: sends a job's requests when they are due and gathers what came back. Computes no latency.

Everything that takes time (prompts, request bytes, connections) is ready before the load point's zero. Open loop has no
limit on requests in flight. A closed loop starts its users a millisecond apart: a burst of the client's own making must
not be charged to the server.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import ClosedLoop
from tuner.domain.load import LoadJob, LoadResult, Outcome
from tuner.load.arrivals import schedule
from tuner.load.client import Client
from tuner.load.exchange import Exchange
from tuner.load.health import Monitor, undisturbed
from tuner.load.pacing import Alarm, Clock
from tuner.load.payload import Target, completion_request, parse_target
from tuner.load.prompts import prompts
from tuner.load.seeds import Purpose, generator

Progress = Callable[[int, int], None]
"""Called with requests done and requests in all."""

_LEAD = 0.02
_USER_STEP = 0.001
_PROGRESS_STEP = 0.25
_SPARE_SECONDS = 0.1
_SPARE_MIN, _SPARE_MAX = 8, 256


async def generate(job: LoadJob, *, api_key: str, on_progress: Progress, clock: Clock = time.monotonic) -> LoadResult:
    """Run a load job and return its records, in order of sending.

    Raises:
        InputError: the job's URL is no http or https URL.
    """
    target = parse_target(job.url)
    run = _LoadPoint(job, target, _exchanges(job, target, api_key), clock)
    return await run.measure(on_progress)


def _exchanges(job: LoadJob, target: Target, api_key: str) -> list[Exchange]:
    workload = job.workload
    contents = prompts(workload, job.requests, job.seed, first_token=job.first_token, vocabulary=job.vocabulary)
    return [
        Exchange(
            payload=completion_request(target, job.model, prompt, ignore_eos=workload.ignore_eos, api_key=api_key),
            input_tokens=len(prompt.token_ids),
            requested_tokens=prompt.output_tokens,
            exact=workload.ignore_eos,
        )
        for prompt in contents
    ]


class _LoadPoint:
    """One load point under way. Requests are sent in order.

    `due` holds the times at which a request is sent because its time has come: every request's under open loop, each
    user's first one under closed loop, where the end of a request brings the others.
    """

    def __init__(self, job: LoadJob, target: Target, exchanges: Sequence[Exchange], clock: Clock) -> None:
        self._clock = clock
        self._deadline = job.deadline_s
        self._seed = job.seed
        self._exchanges = exchanges
        self._open_loop = not isinstance(job.arrivals, ClosedLoop)
        self._due = _due_times(job)
        self._ready, spare = _connections(job)
        self._client = Client(target, spare=spare, clock=clock, on_end=self._on_end)
        self._loop = asyncio.get_running_loop()
        self._all_ended = self._loop.create_future()
        self._came_due = 0
        self._next = 0
        self._ended = 0
        self._zero = math.nan

    async def measure(self, on_progress: Progress) -> LoadResult:
        await self._client.open(self._ready)
        with undisturbed():
            monitor = Monitor(self._clock, generator(self._seed, Purpose.LOOKS))
            self._alarm = Alarm(self._send_due, self._clock)
            self._zero = self._clock() + _LEAD
            self._send_due()
            await self._watch(on_progress)
            cpu = monitor.cpu_s
            duration = max(exchange.finished_at for exchange in self._exchanges) - self._zero
            records = tuple(exchange.record(self._zero) for exchange in self._exchanges)
            health = monitor.stop(records, duration, cpu_s=cpu)
        return LoadResult(started_at=self._zero, duration=duration, records=records, client=health)

    def _send_due(self) -> None:
        """Send every request whose time has come, and come back when the next one's does."""
        now = self._clock() - self._zero
        while self._came_due < len(self._due) and self._due[self._came_due] <= now:
            self._came_due += 1
            self._send_next()
        if self._came_due < len(self._due):
            self._alarm.set(self._zero + float(self._due[self._came_due]))

    def _send_next(self) -> None:
        if self._next == len(self._exchanges):
            return
        exchange = self._exchanges[self._next]
        if self._open_loop:
            exchange.scheduled_at = self._zero + float(self._due[self._next])
        self._next += 1
        self._client.send(exchange)

    def _on_end(self, exchange: Exchange) -> None:
        if not self._open_loop:
            exchange.scheduled_at = exchange.sent_at
        self._ended += 1
        if self._ended == len(self._exchanges) and not self._all_ended.done():
            self._all_ended.set_result(None)
        elif not self._open_loop:
            self._send_next()

    async def _watch(self, on_progress: Progress) -> None:
        """Report progress until every request ended, or the deadline ended them."""
        while not self._all_ended.done():
            left = self._zero + self._deadline - self._clock()
            if left <= 0:
                await self._cancel_the_rest()
                break
            await asyncio.wait([self._all_ended], timeout=min(left, _PROGRESS_STEP))
            on_progress(self._ended, len(self._exchanges))
        self._alarm.close()
        await self._client.close(Outcome.CANCELLED, "")

    async def _cancel_the_rest(self) -> None:
        self._alarm.cancel()
        sent, self._next = self._next, len(self._exchanges)
        await self._client.close(Outcome.CANCELLED, f"still running after {self._deadline:g} s")
        now = self._clock()
        for position, exchange in enumerate(self._exchanges):
            if exchange.outcome is None:
                if self._open_loop and position >= sent:
                    exchange.scheduled_at = self._zero + float(self._due[position])
                exchange.end(Outcome.CANCELLED, f"not sent within {self._deadline:g} s", now)


def _due_times(job: LoadJob) -> NDArray[np.float64]:
    """Return when requests are due, in seconds from zero: all of them, or each user's first one under closed loop."""
    if isinstance(job.arrivals, ClosedLoop):
        users = min(job.arrivals.concurrency, job.requests)
        return np.arange(users, dtype=np.float64) * _USER_STEP
    offsets = schedule(job.arrivals, job.requests, job.seed)
    if offsets is None:
        raise AssertionError("open-loop arrivals have a schedule")
    return offsets


def _connections(job: LoadJob) -> tuple[int, int]:
    """Return how many connections to open beforehand, and how many to keep ready ahead of need."""
    if isinstance(job.arrivals, ClosedLoop):
        return min(job.arrivals.concurrency, job.requests), 0
    spare = math.ceil(min(max((job.arrivals.offered_rps or 0.0) * _SPARE_SECONDS, _SPARE_MIN), _SPARE_MAX))
    return min(spare, job.requests), spare
