"""The load on one running server: the warm-up, the search for its capacity, then the closed-loop load points.

Owns what is measured and in which order; neither starts nor stops a server, and stores nothing.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import TypeVar

from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.domain.errors import LaunchError
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.load import LoadResult, Outcome
from tuner.domain.measurement import Capacity
from tuner.domain.study import StudySpec
from tuner.metrics.capacity import capacity
from tuner.metrics.search import Probe, next_probe
from tuner.metrics.warmup import stable
from tuner.study.point import Measurement, Meter, Search

_WARMUP_INDEX = 1_000_000
"""Load-point index that seeds the warm-up: no measured point ever has one near it."""
_WARMUP_ROUNDS = 3
"""A warm-up's requests come in so many rounds; it ends when the last ones agree, or after three times as many."""

T = TypeVar("T")
Guard = Callable[[Coroutine[None, None, T]], Coroutine[None, None, T]]
"""Wraps a piece of work, so that it ends when the server dies."""


class Visit:
    """What one launch of a trial is asked for, one load point after another."""

    def __init__(self, spec: StudySpec, meter: Meter, *, search: Search | None = None, saturate: bool = True) -> None:
        """Measure with a meter that is connected to the server.

        Args:
            spec: What the study wants to know.
            meter: Measures one load point.
            search: The search to go on with, instead of one from the beginning.
            saturate: Whether the closed-loop load points are measured too.
        """
        self._spec = spec
        self._meter = meter
        self._slos = search.slos if search else spec.slos
        self._found = list(search.found) if search else []
        # What was measured before is paid for: only new load points count against the plan.
        self._plan = spec.load.model_copy(update={"max_points": spec.load.max_points + len(self._found)})
        self._before_s = sum(point.seconds for point in self._found)
        self._concurrency = spec.load.concurrency if saturate else ()
        self._count = 0

    @property
    def capacity(self) -> Capacity:
        """What the open-loop load points so far say of the server's capacity."""
        return capacity(self._plan, self._slos, self._spec.target_rps, self._found)

    async def warm_up(self) -> None:
        """Load the server without measuring, until it is as quick as it was the rounds before.

        Raises:
            LaunchError: not one request came back.
        """
        plan = self._spec.load
        self._meter.phase("warm-up", None)
        arrivals = ClosedLoop(concurrency=plan.warmup_concurrency)
        requests = max(plan.warmup_requests // _WARMUP_ROUNDS, 1)
        took: list[float] = []
        for round_ in range(3 * _WARMUP_ROUNDS):
            result = await self._meter.run(arrivals, requests, _WARMUP_INDEX + round_)
            if not any(record.outcome is Outcome.OK for record in result.records):
                raise LaunchError(_nothing_came_back("warm-up", result))
            took.append(result.duration)
            if stable(took):
                return

    async def measure(self, guarded: Guard[Measurement]) -> AsyncGenerator[Measurement]:
        """Yield load points until the capacity is known well enough, then the closed-loop ones.

        Raises:
            LaunchError: the client was the bottleneck, twice in a row.
        """
        plan, probe = self._spec.load, self._next()
        while probe is not None:
            arrivals = PoissonArrivals(rate=probe.rate)
            yield (
                measured := await guarded(
                    self._meter.measure(arrivals, probe.requests, self._index(), give_up=probe.give_up, why=probe.why)
                )
            )
            probe = self._after(probe, measured)
        for users in self._concurrency:
            requests = max(plan.min_requests, 4 * users)
            yield await guarded(self._meter.measure(ClosedLoop(concurrency=users), requests, self._index()))

    def _next(self) -> Probe | None:
        spent = sum(point.seconds for point in self._found) - self._before_s
        return next_probe(self._plan, self._slos, self._spec.target_rps, self._found, spent)

    def _after(self, probe: Probe, measured: Measurement) -> Probe | None:
        """Return what follows a load point: the same once more where the client bent it."""
        again = bool(self._found) and not self._found[-1].valid
        self._found.append(measured.evidence(self._slos))
        if self._found[-1].valid:
            return self._next()
        if again:
            raise LaunchError(_client_bound(measured))
        return probe

    def _index(self) -> int:
        self._count += 1
        return self._count - 1


def _nothing_came_back(phase: str, result: LoadResult) -> Failure:
    first = result.records[0]
    evidence = f"no request of the {phase} succeeded; the first one: {first.error or first.outcome}"
    return Failure(kind=FailureKind.LOAD_FAILED, evidence=evidence)


def _client_bound(measured: Measurement) -> Failure:
    summary = measured.point.summary
    return Failure(
        kind=FailureKind.CLIENT_FAILED,
        evidence=f"twice in a row at {measured.point.arrivals.label}: {'; '.join(summary.invalid)}",
        advice="All CPUs of this machine are busy: leave the load generator one of its own, or let it have a real-time "
        "priority (run the tuner as root, or with CAP_SYS_NICE), then resume.",
    )
