"""The client's connections to a real server: ready ahead of need, reused while warm, never when they waited long."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tuner.domain.load import Outcome
from tuner.load.client import Client
from tuner.load.exchange import Exchange
from tuner.load.payload import Form, parse_target

Serve = Callable[..., Any]


class Clock:
    """The machine's clock, which a test can move forwards."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Sender:
    """A client whose exchanges can be waited for."""

    def __init__(self, url: str, *, spare: int = 0) -> None:
        self.target = parse_target(url)
        self.clock = Clock()
        self.ended: asyncio.Queue[Exchange] = asyncio.Queue()
        self.client = Client(self.target, spare=spare, clock=self.clock, on_end=self.ended.put_nowait)

    def start(self) -> None:
        payload = Form(self.target, "m", ignore_eos=True).request((1, 2), 4)
        self.client.send(Exchange(payload=payload, input_tokens=2, requested_tokens=4, exact=True))

    async def send(self) -> Exchange:
        self.start()
        return await self.ended.get()


async def test_a_warm_connection_is_used_again_and_one_that_waited_is_not(serve: Serve):
    with serve() as server:
        sender = Sender(server.url)
        assert [(await sender.send()).outcome for _ in range(3)] == [Outcome.OK] * 3
        assert server.connections() == 1 + 1, "ours, and the one that asks"
        sender.clock.ahead = 1.5
        assert (await sender.send()).outcome is Outcome.OK
        assert server.connections() == 2 + 2
        await sender.client.close(Outcome.CANCELLED, "")


async def test_spare_connections_are_ready_and_replaced(serve: Serve):
    with serve("stall") as server:
        sender = Sender(server.url, spare=2)
        await sender.client.open(2)
        for _ in range(3):
            sender.start()
            await asyncio.sleep(0.05)
        assert server.connections() == 3 + 2 + 1, "three under way, two spare, and the one that asks"
        await sender.client.close(Outcome.CANCELLED, "over")
        assert [sender.ended.get_nowait().error for _ in range(3)] == ["over"] * 3


async def test_what_has_no_connection_at_the_close_is_never_sent(serve: Serve):
    with serve("stall") as server:
        sender = Sender(server.url)
        sender.start()
        await sender.client.close(Outcome.CANCELLED, "over")
        with pytest.raises(asyncio.QueueEmpty):
            sender.ended.get_nowait()
        assert server.truth() == []
