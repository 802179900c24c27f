"""Owns the connections to one server: opens them ahead of need, hands them out, takes them back. Schedules nothing.

A connection that waited longer than a second is not used again: servers close idle ones after a few seconds (uvicorn:
5 s), and a request written at that moment would be lost without being the server's failure. Nothing is ever sent twice.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from tuner.domain.load import Outcome
from tuner.load.exchange import Exchange
from tuner.load.pacing import Clock
from tuner.load.payload import Target
from tuner.load.protocol import Connection

_CONNECT_TIMEOUT = 10.0
_LONGEST_IDLE = 1.0
_CONNECTING_AT_ONCE = 64


class Client:
    """Sends exchanges over as many connections as it takes; there is no limit on how many are under way."""

    def __init__(self, target: Target, *, spare: int, clock: Clock, on_end: Callable[[Exchange], None]) -> None:
        """Keep `spare` fresh connections ready for the next requests, and call `on_end` when an exchange ended."""
        self._target = target
        self._spare = spare
        self._clock = clock
        self._on_end = on_end
        self._fresh: deque[Connection] = deque()
        self._warm: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._connecting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, count: int) -> None:
        """Open connections before they are needed. A server that refuses them is told of by the requests."""
        for start in range(0, count, _CONNECTING_AT_ONCE):
            await asyncio.gather(*(self._prepare() for _ in range(min(_CONNECTING_AT_ONCE, count - start))))

    def send(self, exchange: Exchange) -> None:
        """Send it on a connection that is ready, else on one opened for it."""
        connection = self._take()
        if connection is None:
            self._spawn(self._connect_and_send(exchange))
        else:
            self._send_on(connection, exchange)
        self._refill()

    async def close(self, outcome: Outcome, error: str) -> None:
        """Close every connection; exchanges under way end with this outcome, those still without one are never sent."""
        self._spare = 0
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in tuple(self._busy):
            connection.abort(outcome, error)
        for connection in (*self._fresh, *self._warm):
            connection.close()

    def _send_on(self, connection: Connection, exchange: Exchange) -> None:
        self._busy.add(connection)
        connection.send(exchange)

    def _take(self) -> Connection | None:
        while self._warm:
            connection = self._warm.pop()
            if self._is_good(connection):
                return connection
        while self._fresh:
            connection = self._fresh.popleft()
            if self._is_good(connection):
                return connection
        return None

    def _is_good(self, connection: Connection) -> bool:
        if connection.usable and self._clock() - connection.idle_since < _LONGEST_IDLE:
            return True
        connection.close()
        return False

    def _give_back(self, connection: Connection, exchange: Exchange) -> None:
        self._busy.discard(connection)
        if connection.usable:
            self._warm.append(connection)
        self._on_end(exchange)

    def _refill(self) -> None:
        missing = self._spare - len(self._fresh) - self._connecting
        for _ in range(missing):
            self._spawn(self._prepare())

    async def _prepare(self) -> None:
        self._connecting += 1
        try:
            self._fresh.append(await self._connect())
        except OSError:
            self._spare = 0  # the requests themselves will say what is wrong
        finally:
            self._connecting -= 1

    async def _connect_and_send(self, exchange: Exchange) -> None:
        try:
            connection = await self._connect()
        except TimeoutError:
            self._refuse(exchange, Outcome.TIMEOUT, f"no connection within {_CONNECT_TIMEOUT:g} s")
        except OSError as error:
            self._refuse(exchange, Outcome.REFUSED, str(error))
        else:
            self._send_on(connection, exchange)

    def _refuse(self, exchange: Exchange, outcome: Outcome, error: str) -> None:
        exchange.end(outcome, error, self._clock())
        self._on_end(exchange)

    async def _connect(self) -> Connection:
        target, loop = self._target, asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, connection = await loop.create_connection(
                lambda: Connection(self._clock, self._give_back), target.host, target.port, ssl=target.tls
            )
        return connection

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
