"""Owns one load point: sends a job's requests when they are due and gathers what came back. Computes no latency.

Everything that takes time (prompts, request bytes, connections) is ready before the load point's zero; only the later
calls of a session are written when their turn comes. Open loop has no limit on requests in flight. A closed loop starts
its users a millisecond apart: a burst of the client's own making must not be charged to the server.

A failed call ends its session: what should have followed is neither sent nor recorded.
"""

import asyncio
import heapq
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuner.domain.arrivals import ClosedLoop
from tuner.domain.load import LoadJob, LoadResult, Outcome
from tuner.load.arrivals import schedule
from tuner.load.client import Client
from tuner.load.exchange import Exchange
from tuner.load.health import Monitor, undisturbed
from tuner.load.hopeless import Hopeless
from tuner.load.pacing import Alarm, Clock
from tuner.load.seeds import Purpose, generator
from tuner.load.sessions import Session, sessions
from tuner.load.traces import read_trace
from tuner.load.visitor import Visitor, Writer

Progress = Callable[[int, int], None]
"""Called with user requests done and user requests in all."""

_LEAD = 0.02
_USER_STEP = 0.001
_WATCH_STEP = 0.25
_SPARE_SECONDS = 0.1
_SPARE_MIN, _SPARE_MAX = 8, 256


async def generate(job: LoadJob, *, api_key: str, on_progress: Progress, clock: Clock = time.monotonic) -> LoadResult:
    """Run a load job and return its records, in order of sending.

    Raises:
        InputError: the job's URL is no http or https URL, or its trace can't be read.
    """
    trace = read_trace(job.workload.trace) if job.workload.trace is not None else ()
    planned = sessions(
        job.workload,
        job.requests,
        job.seed + job.workload.seed,
        first_token=job.first_token,
        vocabulary=job.vocabulary,
        trace=trace,
    )
    starts = schedule(job.arrivals, len(planned), job.seed + job.workload.seed, [one.at or 0.0 for one in trace])
    plan = _Plan(planned, None if starts is None else [float(at) for at in starts])
    run = _LoadPoint(job, plan.within(job.send_for_s), Writer(job, api_key), clock)
    return await run.measure(on_progress)


@dataclass(frozen=True, slots=True)
class _Plan:
    sessions: tuple[Session, ...]
    starts: list[float] | None
    """Of each session, under open loop."""

    def within(self, seconds: float | None) -> "_Plan":
        """Return the plan without what starts later."""
        if seconds is None or self.starts is None:
            return self
        kept = sum(at <= seconds for at in self.starts)
        return _Plan(self.sessions[:kept], self.starts[:kept])


class _LoadPoint:
    """One load point under way.

    `due` holds what is sent because its time has come, the earliest first. Under open loop that is every session's
    first call; under closed loop each user's first session, and the end of a session brings the user's next one. A
    call after a pause comes due like the others.
    """

    def __init__(self, job: LoadJob, plan: _Plan, writer: Writer, clock: Clock) -> None:
        self._clock = clock
        self._job = job
        self._starts = plan.starts
        self._visitors = [Visitor(session, writer, number) for number, session in enumerate(plan.sessions)]
        ready, spare = _connections(job, len(self._visitors))
        self._ready = ready
        self._client = Client(writer.target, spare=spare, clock=clock, on_end=self._on_end)
        self._of: dict[int, Visitor] = {}
        self._sent: list[Exchange] = []
        self._due: list[tuple[float, int, Visitor | None]] = []
        self._order = 0
        self._begun = self._ended = 0
        self._all_ended = asyncio.get_running_loop().create_future()
        self._hopeless = Hopeless(job.give_up, len(self._visitors))
        self._given_up = ""
        self._over = False
        self._zero = self._last_end = math.nan

    async def measure(self, on_progress: Progress) -> LoadResult:
        await self._client.open(self._ready)
        with undisturbed():
            monitor = Monitor(self._clock, generator(self._job.seed, Purpose.LOOKS))
            self._alarm = Alarm(self._send_due, self._clock)
            self._zero = self._last_end = self._clock() + _LEAD
            self._begin()
            await self._watch(on_progress)
            cpu = monitor.cpu_s
            duration = max((each.finished_at for each in self._sent), default=self._zero) - self._zero
            records = tuple(each.record(self._zero) for each in self._sent)
            health = monitor.stop(records, duration, cpu_s=cpu)
        return LoadResult(self._zero, duration, records, health, self._given_up)

    def _begin(self) -> None:
        """Let every session come due at its start, or every user's first one at the user's."""
        if not self._visitors:
            self._all_ended.set_result(None)
        if self._starts is not None:
            for visitor, at in zip(self._visitors, self._starts, strict=True):
                self._push(self._zero + at + visitor.pause, visitor)
        elif isinstance(self._job.arrivals, ClosedLoop):
            for user in range(min(self._job.arrivals.concurrency, len(self._visitors))):
                self._push(self._zero + user * _USER_STEP, None)
        self._send_due()

    def _push(self, at: float, visitor: Visitor | None) -> None:
        """Send a visitor's current call at this time; without one, let a user begin the next session."""
        self._order += 1
        heapq.heappush(self._due, (at, self._order, visitor))

    def _send_due(self) -> None:
        """Send everything whose time has come, and come back when the next one's does."""
        due = self._due
        while due and due[0][0] <= self._clock():
            at, _, visitor = heapq.heappop(due)
            if visitor is None:
                self._begin_next()
            else:
                visitor.exchange.scheduled_at = at
                self._send(visitor)
        if due:
            self._alarm.set(due[0][0])

    def _begin_next(self) -> None:
        """Let a user of a closed loop begin the next session, if there is one and time for it."""
        now = self._clock()
        late = self._job.send_for_s is not None and now - self._zero > self._job.send_for_s
        if self._begun == len(self._visitors) or late or self._over:
            self._end_if_done(nothing_more=True)
            return
        visitor = self._visitors[self._begun]
        self._begun += 1
        self._come_due(visitor, now)

    def _come_due(self, visitor: Visitor, now: float) -> None:
        if visitor.pause:
            self._push(now + visitor.pause, visitor)
            self._alarm.set(self._due[0][0])
        else:
            visitor.exchange.scheduled_at = math.nan if self._starts is None else now
            self._send(visitor)

    def _send(self, visitor: Visitor) -> None:
        exchange = visitor.exchange
        self._of[id(exchange)] = visitor
        self._sent.append(exchange)
        self._client.send(exchange)

    def _on_end(self, exchange: Exchange) -> None:
        visitor = self._of.pop(id(exchange))
        self._last_end = exchange.finished_at
        if math.isnan(exchange.scheduled_at):
            exchange.scheduled_at = exchange.sent_at
        self._hopeless.ended(exchange)
        if not self._over and visitor.go_on():
            self._come_due(visitor, exchange.finished_at)
            return
        self._ended += 1
        if self._starts is None:
            self._next_user(visitor)
        self._end_if_done(nothing_more=False)

    def _next_user(self, visitor: Visitor) -> None:
        if visitor.tail and not self._over:
            self._push(self._clock() + visitor.tail, None)
            self._alarm.set(self._due[0][0])
        else:
            self._begin_next()

    def _end_if_done(self, *, nothing_more: bool) -> None:
        stopped = nothing_more and not self._of and not self._due
        if (self._ended == len(self._visitors) or stopped) and not self._all_ended.done():
            self._all_ended.set_result(None)

    async def _watch(self, on_progress: Progress) -> None:
        """Report progress until everything ended, the deadline ended it, or nothing can be won any more."""
        while not self._all_ended.done():
            why = self._why_to_stop()
            if why:
                break
            left = self._zero + self._job.deadline_s - self._clock()
            await asyncio.wait([self._all_ended], timeout=min(max(left, 0.0), _WATCH_STEP))
            on_progress(self._ended, len(self._visitors))
        else:
            why = ""
        self._over = True
        self._alarm.close()
        self._due.clear()
        await self._client.close(Outcome.CANCELLED, why)
        if why and not self._given_up:
            self._note_what_was_never_sent()

    def _why_to_stop(self) -> str:
        now = self._clock()
        running = [visitor.exchange for visitor in self._of.values()]
        self._given_up = self._hopeless.verdict(running, now)
        if self._given_up:
            return f"given up: {self._given_up}"
        if now - self._zero >= self._job.deadline_s:
            return f"still running after {self._job.deadline_s:g} s"
        silence = self._job.silence_s
        if silence is not None and running and now - self._last_heard(running) > silence:
            return f"nothing came for {silence:g} s"
        return ""

    def _last_heard(self, running: Sequence[Exchange]) -> float:
        return max(self._last_end, *(each.latest for each in running if not math.isnan(each.latest)), self._zero)

    def _note_what_was_never_sent(self) -> None:
        """Give every session that was to come a record; under a closed loop also those that no user got to."""
        sent, now = set(map(id, self._sent)), self._clock()
        for number, visitor in enumerate(self._visitors):
            exchange = visitor.exchange
            if id(exchange) not in sent and exchange.outcome is None and exchange.step == 0:
                if self._starts is not None:
                    exchange.scheduled_at = self._zero + self._starts[number] + visitor.pause
                exchange.end(Outcome.CANCELLED, f"not sent within {self._job.deadline_s:g} s", now)
                self._sent.append(exchange)


def _connections(job: LoadJob, planned: int) -> tuple[int, int]:
    """Return how many connections to open beforehand, and how many to keep ready ahead of need."""
    if isinstance(job.arrivals, ClosedLoop):
        return min(job.arrivals.concurrency, planned), 0
    spare = math.ceil(min(max((job.arrivals.offered_rps or 0.0) * _SPARE_SECONDS, _SPARE_MIN), _SPARE_MAX))
    return min(spare, planned), spare
