"""Owns one load point: sends a job's requests when they are due and gathers what came back. Computes no latency.

What takes time (prompts, request bytes, connections) is ready before the load point's zero, except for a conversation's
later turns, which hold answers, and for what would not fit in memory (`tuner.load.visitor.Supply`). Open loop has no
limit on requests in flight. A closed loop starts its users a millisecond apart: a burst of the client's own making must
not be charged to the server.

A session is what one user wants: often a single request, else several calls. A call after the first is due its pause
after the end of the one before. A call that fails ends its session: what should have followed is neither sent nor
recorded. A trace is replayed once: a job of more requests than it holds sends those that it holds.

A load point that runs into its deadline, or whose server falls silent, accounts for all that was asked for: what was
never sent is recorded as cancelled. Where requests end after a time (`send_for_s`), or it is given up, only what had
begun is.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import ClosedLoop
from tuner.domain.load import LoadJob, LoadResult, Outcome
from tuner.load.agenda import Agenda
from tuner.load.client import Client
from tuner.load.exchange import Exchange
from tuner.load.health import Monitor, undisturbed
from tuner.load.hopeless import Hopeless
from tuner.load.pacing import Clock
from tuner.load.plan import connections, session_starts
from tuner.load.priority import claimed
from tuner.load.seeds import Purpose, generator
from tuner.load.sessions import sessions
from tuner.load.traces import read_trace
from tuner.load.visitor import Supply, Visitor, Writer

Progress = Callable[[int, int], None]
"""Called with user requests done and user requests in all."""

_LEAD = 0.02
_USER_STEP = 0.001
_WATCH_STEP = 0.25


async def generate(job: LoadJob, *, api_key: str, on_progress: Progress, clock: Clock = time.monotonic) -> LoadResult:
    """Run a load job and return its records, in order of sending.

    Raises:
        InputError: the job's URL is no http or https URL, its trace can't be read, or knows no times to replay.
    """
    writer = Writer(job, api_key)
    trace = read_trace(job.workload.trace, at_most=job.requests) if job.workload.trace is not None else None
    seed = job.seed + job.workload.seed
    starts = session_starts(job, seed, trace)
    planned = sessions(
        job.workload,
        starts.size,
        seed,
        first_token=job.first_token,
        vocabulary=job.vocabulary,
        trace=trace or (),
    )
    visitors = (Visitor(session, writer, number) for number, session in enumerate(planned))
    run = _LoadPoint(job, writer, Supply(visitors, starts.size), starts, clock)
    return await run.measure(on_progress)


@dataclass(frozen=True, slots=True)
class _Stop:
    """Why a load point ends before its requests did."""

    running: str
    """What is said of requests under way."""
    unsent: str = ""
    """What is said of those that were not sent; empty where they leave no record."""


class _LoadPoint:
    """One load point under way.

    The agenda holds what comes with time: a visitor's call, or None for the start of the next session. Under open loop
    all starts stand there from the beginning; under closed loop those of the users' first sessions do, and the end of a
    session brings the next one.
    """

    def __init__(self, job: LoadJob, writer: Writer, supply: Supply, starts: NDArray[np.float64], clock: Clock) -> None:
        self._clock = clock
        self._job = job
        self._supply = supply
        self._total = supply.left
        self._starts = starts
        self._open_loop = not isinstance(job.arrivals, ClosedLoop)
        self._ready, spare = connections(job, starts)
        self._client = Client(writer.target, spare=spare, clock=clock, on_end=self._on_end)
        self._running: dict[Exchange, Visitor] = {}
        self._sent: list[Exchange] = []
        self._ended = 0
        self._over = False
        self._all_ended = asyncio.get_running_loop().create_future()
        self._hopeless = Hopeless(job.give_up, _whole(self._total, in_sessions=writer.in_sessions))
        self._given_up = ""
        self._last_end = -math.inf
        self._zero = math.nan

    async def measure(self, on_progress: Progress) -> LoadResult:
        await self._client.open(self._ready)
        with undisturbed(), claimed(self._clock) as claim:
            monitor = Monitor(self._clock, generator(self._job.seed, Purpose.LOOKS), claim.heed)
            self._agenda = Agenda[Visitor | None](self._come_due, self._clock)
            self._zero = self._clock() + _LEAD
            for at in self._first_starts().tolist():
                self._agenda.add(self._zero + at, None)
            self._end_if_done()
            await self._watch(on_progress)
            cpu = monitor.cpu_s
            duration = max((each.finished_at for each in self._sent), default=self._zero) - self._zero
            records = tuple(each.record(self._zero) for each in self._sent)
            health = monitor.stop(records, duration, cpu_s=cpu)
        return LoadResult(self._zero, duration, records, health, self._given_up)

    def _first_starts(self) -> NDArray[np.float64]:
        if isinstance(self._job.arrivals, ClosedLoop):
            return np.arange(min(self._job.arrivals.concurrency, self._total), dtype=np.float64) * _USER_STEP
        return self._starts

    def _come_due(self, at: float, visitor: Visitor | None) -> None:
        if visitor is None:
            self._begin(at)
        else:
            self._send(visitor, at)
        self._end_if_done()

    def _begin(self, at: float) -> None:
        """Begin the next session, if there is one and time for it."""
        if not self._may_begin(at):
            return
        visitor = self._supply.take()
        if visitor.pause:
            self._agenda.add(at + visitor.pause, visitor)
        else:
            self._send(visitor, at if self._open_loop else math.nan)

    def _may_begin(self, at: float) -> bool:
        limit = self._job.send_for_s
        return self._supply.left > 0 and (limit is None or at - self._zero <= limit)

    def _send(self, visitor: Visitor, scheduled_at: float) -> None:
        exchange = visitor.exchange
        exchange.scheduled_at = scheduled_at
        self._running[exchange] = visitor
        self._sent.append(exchange)
        self._client.send(exchange)
        self._supply.refill()

    def _on_end(self, exchange: Exchange) -> None:
        visitor = self._running.pop(exchange)
        self._last_end = exchange.finished_at
        exchange.payload = b""
        if math.isnan(exchange.scheduled_at):
            exchange.scheduled_at = exchange.sent_at
        self._hopeless.ended(exchange)
        if self._over:
            return
        if visitor.go_on():
            self._go_on(visitor, exchange.finished_at)
        else:
            self._ended += 1
            self._leave(exchange.finished_at, visitor.tail)
        self._end_if_done()

    def _go_on(self, visitor: Visitor, now: float) -> None:
        if visitor.pause:
            self._agenda.add(now + visitor.pause, visitor)
        else:
            self._send(visitor, now)

    def _leave(self, now: float, tail: float) -> None:
        """Let a closed loop's user begin the next session, after what other work the last one ended with."""
        if self._open_loop or not self._may_begin(now + tail):
            return
        if tail:
            self._agenda.add(now + tail, None)
        else:
            self._begin(now)

    def _end_if_done(self) -> None:
        if not self._running and not self._agenda and not self._all_ended.done():
            self._all_ended.set_result(None)

    async def _watch(self, on_progress: Progress) -> None:
        """Report progress until everything ended, or there is a reason to wait no longer."""
        while not self._all_ended.done():
            stop = self._why_to_stop()
            if stop is not None:
                await self._stop(stop)
                return
            left = self._zero + self._job.deadline_s - self._clock()
            await asyncio.wait([self._all_ended], timeout=min(max(left, 0.0), _WATCH_STEP))
            on_progress(self._ended, self._total)
        self._agenda.close()
        await self._client.close(Outcome.CANCELLED, "")

    def _why_to_stop(self) -> _Stop | None:
        now, deadline, silence = self._clock(), self._job.deadline_s, self._job.silence_s
        self._given_up = self._hopeless.verdict(self._running, now)
        if self._given_up:
            return _Stop(f"given up: {self._given_up}")
        if now - self._zero >= deadline:
            return _Stop(f"still running after {deadline:g} s", f"not sent within {deadline:g} s")
        if silence is not None and now - self._silent_since() > silence:
            return _Stop(f"nothing came for {silence:g} s", f"not sent: nothing came for {silence:g} s")
        return None

    def _silent_since(self) -> float:
        """Return when the server was last heard of, or first asked of what it owes; infinity where it owes nothing."""
        asked = min((each.sent_at for each in self._running if not math.isnan(each.sent_at)), default=math.inf)
        heard = max((each.event_times[-1] for each in self._running if each.event_times), default=-math.inf)
        return max(asked, heard, self._last_end)

    async def _stop(self, stop: _Stop) -> None:
        self._over = True
        waiting = self._agenda.close()
        await self._client.close(Outcome.CANCELLED, stop.running)
        now = self._clock()
        for exchange in self._running:  # what is left had no connection yet
            exchange.end(Outcome.CANCELLED, f"no connection yet; {stop.running}", now)
        if stop.unsent:
            for at, visitor in self._unsent(waiting):
                visitor.exchange.scheduled_at = at
                visitor.exchange.end(Outcome.CANCELLED, stop.unsent, now)
                self._sent.append(visitor.exchange)

    def _unsent(self, waiting: Collection[tuple[float, Visitor | None]]) -> list[tuple[float, Visitor]]:
        """Return whose next call was not sent, and when it was due: sessions under way, and those never begun."""
        found = [(at, visitor) for at, visitor in waiting if visitor is not None]
        if self._job.send_for_s is not None:
            return found
        starts = [at for at, visitor in waiting if visitor is None and self._open_loop]
        starts += [math.nan] * (self._supply.left - len(starts))
        begun = ((at, self._supply.take()) for at in starts)
        return found + [(at + visitor.pause, visitor) for at, visitor in begun]


def _whole(sessions: int, *, in_sessions: bool) -> str:
    return f"the calls of {sessions} user requests" if in_sessions else f"{sessions} requests"
