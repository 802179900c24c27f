"""When an engine counts as hung: by its counters, then by a completion that does not come."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from tuner.domain.failure import FailureKind
from tuner.telemetry.watchdog import Watchdog

PATIENCE_S = 60.0


class World:
    """A clock that moves as the watchdog sleeps, and a server whose answers depend on it."""

    def __init__(self, tokens: Callable[[float], int], *, completes: bool = False, reads: bool = True) -> None:
        self.now, self.tokens, self.completes, self.reads = 0.0, tokens, completes, reads
        self.asked = 0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)
        if self.now > 100 * PATIENCE_S:
            await asyncio.sleep(3600)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/metrics":
            if not self.reads:
                raise httpx.ReadTimeout("stopped", request=request)
            return httpx.Response(200, text=f'vllm:generation_tokens_total{{engine="0"}} {self.tokens(self.now)}\n')
        self.asked += 1
        return httpx.Response(200 if self.completes else 503)

    def watchdog(self) -> Watchdog:
        client = httpx.AsyncClient(base_url="http://engine", transport=httpx.MockTransport(self.answer))
        return Watchdog(client, "m", PATIENCE_S, clock=lambda: self.now, sleep=self.sleep)


@pytest.mark.parametrize("reads", [True, False])
async def test_an_engine_without_a_token_is_hung_within_its_patience(reads: bool):
    world = World(lambda _now: 7, reads=reads)
    failure = await world.watchdog().hung
    assert failure.kind is FailureKind.ENGINE_HUNG
    assert PATIENCE_S / 2 < world.now <= PATIENCE_S
    assert world.asked > 0


async def test_the_patience_counts_from_the_last_token():
    world = World(lambda now: int(min(now, 300)))
    await world.watchdog().hung
    assert 300 + PATIENCE_S / 2 < world.now <= 300 + PATIENCE_S + PATIENCE_S / 12


async def test_an_engine_whose_tokens_move_is_asked_nothing():
    world = World(int)
    dog = world.watchdog()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(dog.hung), 0.5)
    dog.hung.cancel()
    assert world.asked == 0
    assert world.now > 100 * PATIENCE_S


async def test_an_idle_engine_that_completes_a_token_is_not_hung():
    world = World(lambda _now: 7, completes=True)
    dog = world.watchdog()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(dog.hung), 0.5)
    dog.hung.cancel()
    assert world.asked > 10


async def test_it_is_told_when_the_engine_answers_again():
    world = World(lambda _now: 7, completes=True)
    dog = world.watchdog()
    await dog.answered()
    dog.hung.cancel()
    assert world.asked == 1
