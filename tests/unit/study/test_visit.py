"""What one launch is asked for, one load point after another, with a meter that knows its figures beforehand."""

from collections.abc import Coroutine
from typing import Any

import pytest

from tests.fakes.builders import make_point, make_spec
from tuner.domain.arrivals import Arrivals
from tuner.domain.errors import LaunchError
from tuner.domain.failure import FailureKind
from tuner.domain.load import ClientHealth, GiveUp, LoadResult, Outcome, RequestRecord
from tuner.study.point import Measurement, Meter
from tuner.study.visit import Visit

HEALTH = ClientHealth(cpu_s=0.1, cpu_share=0.1, lateness_p99=0.0, loop_lag_max=0.0)
BENT = ("the client used 95% of a core",)


def records(rate: float, requests: int, ttft: float, outcome: Outcome = Outcome.OK) -> tuple[RequestRecord, ...]:
    starts = [number / rate for number in range(requests)]
    return tuple(RequestRecord(at, at, (at + ttft,), at + ttft, outcome, 8, 1, 1) for at in starts)


class Scripted(Meter):
    """Measures a server that answers in 10 ms up to a rate and in 10 s above it; `bent` load points are invalid."""

    def __init__(self, holds: float, bent: tuple[int, ...] = (), rounds: tuple[float, ...] = (1.0,)) -> None:
        self.holds = holds
        self.bent = bent
        self.rounds = list(rounds)
        self.rates: list[float] = []
        self.warmed = 0
        self.answers = Outcome.OK

    def phase(self, phase: str, expected: float | None) -> None:
        """Nobody listens."""

    async def run(
        self, arrivals: Arrivals, requests: int, index: int, *, give_up: tuple[GiveUp, ...] = ()
    ) -> LoadResult:
        del arrivals, index, give_up
        self.warmed += 1
        took = self.rounds[min(self.warmed, len(self.rounds)) - 1]
        return LoadResult(0.0, took, records(10.0, requests, 0.01, self.answers), HEALTH)

    async def measure(
        self, arrivals: Arrivals, requests: int, index: int, *, give_up: tuple[GiveUp, ...] = (), why: str = ""
    ) -> Measurement:
        del give_up, why
        rate = arrivals.offered_rps or 0.0
        self.rates.append(rate)
        result = LoadResult(0.0, requests / (rate or 1), records(rate or 1, requests, self._ttft(rate)), HEALTH)
        point = make_point(rate, index=index, arrivals=arrivals, invalid=BENT if index in self.bent else ())
        return Measurement(point.model_copy(update={"requests": requests}), result, (), (), requests / (rate or 1))

    def _ttft(self, rate: float) -> float:
        return 0.01 if rate <= self.holds else 10.0


def visit(meter: Meter, **load: Any) -> Visit:
    plan = {"duration": "10s", "highest": 4, "max_points": 8, "warmup_requests": 9} | load
    return Visit(make_spec(target_rps=10.0, load=plan), meter)


async def as_it_is(work: Coroutine[None, None, Measurement]) -> Measurement:
    return await work


async def test_the_target_comes_first_and_the_capacity_lies_where_the_server_breaks():
    meter = Scripted(holds=23.0)
    asked = visit(meter)
    points = [measured.point async for measured in asked.measure(as_it_is)]
    assert meter.rates[0] == 10.0
    assert len(points) == len(meter.rates) <= 8
    found = asked.capacity
    assert found.upper_rps is not None
    assert found.lower_rps < 23.0 < found.upper_rps


async def test_closed_loop_points_come_last():
    meter = Scripted(holds=99.0)
    points = [measured.point async for measured in visit(meter, concurrency=[2, 4]).measure(as_it_is)]
    assert [point.arrivals.label for point in points][-2:] == ["2 users", "4 users"]
    assert [point.index for point in points] == list(range(len(points)))


async def test_a_load_point_that_the_client_bent_is_measured_once_more():
    meter = Scripted(holds=23.0, bent=(0,))
    asked = visit(meter)
    async for _ in asked.measure(as_it_is):
        pass
    assert meter.rates[:2] == [10.0, 10.0]
    assert asked.capacity.rps > 10


async def test_a_client_that_bends_two_in_a_row_is_a_failure_of_its_own():
    with pytest.raises(LaunchError) as caught:
        async for _ in visit(Scripted(holds=23.0, bent=(0, 1))).measure(as_it_is):
            pass
    assert caught.value.failure.kind is FailureKind.CLIENT_FAILED
    assert "95% of a core" in caught.value.failure.evidence


@pytest.mark.parametrize(
    ("rounds", "warmed"), [((1.0,), 3), ((9.0, 4.0, 2.0, 1.0), 5), ((9, 8, 7, 6, 5, 4, 3, 2, 1), 9)]
)
async def test_the_warm_up_ends_when_the_server_becomes_no_quicker(rounds: tuple[float, ...], warmed: int):
    meter = Scripted(holds=1.0, rounds=rounds)
    await visit(meter).warm_up()
    assert meter.warmed == warmed


async def test_a_warm_up_without_any_answer_ends_the_launch():
    meter = Scripted(holds=1.0)
    meter.answers = Outcome.HTTP_ERROR
    with pytest.raises(LaunchError, match="no request of the warm-up succeeded"):
        await visit(meter).warm_up()
