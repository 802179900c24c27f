"""Owns one connection: writes a request, notes when its answer's events arrive. Decides neither what is sent nor when.

This is the timed path. The clock is read once per `data_received`, before anything is parsed, and events that one read
brought share its time. Writes go out at once (a high-water mark of 0 makes uvloop write without waiting for the end
of the loop's turn), so that `sent_at` is the moment of the system call.
"""

import asyncio
import math
from collections.abc import Callable
from typing import cast

import httptools

from tuner.domain.load import Outcome
from tuner.load.exchange import OK_STATUS, Exchange, judge
from tuner.load.pacing import Clock

_KEPT_BODY = 2000


class Connection(asyncio.Protocol):
    """A keep-alive connection that carries one exchange at a time."""

    def __init__(self, clock: Clock, on_end: Callable[["Connection", Exchange], None]) -> None:
        """Call `on_end` whenever an exchange ended; the connection is then idle, or no longer `usable`."""
        self._clock = clock
        self._on_end = on_end
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._complete = False
        self._keep_alive = True
        self._read_at = math.nan
        self.idle_since = math.inf
        """When its last exchange ended; infinity while it never carried one."""

    @property
    def usable(self) -> bool:
        """Whether it can carry another exchange."""
        return self._exchange is None and not self._transport.is_closing()

    def send(self, exchange: Exchange) -> None:
        """Write the request; the exchange ends through `on_end`."""
        self._exchange = exchange
        exchange.sent_at = self._clock()
        self._transport.write(exchange.payload)

    def abort(self, outcome: Outcome, error: str) -> None:
        """Close the connection now; an exchange under way ends with this outcome."""
        self._transport.abort()
        self._end(outcome, error)

    def close(self) -> None:
        """Close an idle connection."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a response (asyncio calls this)."""
        self._read_at = self._clock()
        if self._exchange is None:
            self._transport.abort()  # nothing was asked: the next answer on this connection could not be trusted
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError as error:
            self.abort(Outcome.CUT, f"not HTTP: {error}")
            return
        if self._complete:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """Judge an exchange that the connection took with it (asyncio calls this)."""
        if self._exchange is not None:
            self._end(*judge(self._exchange, complete=False, why=str(exc or "")))

    def on_headers_complete(self) -> None:
        """Note the status (httptools calls this)."""
        if self._exchange is not None:
            self._exchange.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body (httptools calls this)."""
        exchange = self._exchange
        if exchange is None:
            return
        stream = exchange.stream
        if stream.is_token(body):  # nearly always
            exchange.event_times.append(self._read_at)
        elif exchange.status == OK_STATUS:
            self._note(stream.feed(body))
        elif len(exchange.body) < _KEPT_BODY:
            exchange.body += body[:_KEPT_BODY]

    def on_message_complete(self) -> None:
        """Note the end of the message; a 1xx is only announced before the answer (httptools calls this)."""
        self._complete = self._parser.get_status_code() >= OK_STATUS
        self._keep_alive = self._parser.should_keep_alive()  # llhttp forgets the answer once this callback returns

    def _note(self, events: int) -> None:
        if events and self._exchange is not None:
            self._exchange.event_times.extend([self._read_at] * events)

    def _finish(self) -> None:
        self._complete = False
        exchange = self._exchange
        if exchange is None:
            return
        self._note(exchange.stream.finish())
        if not self._keep_alive:
            self._transport.close()
        self._end(*judge(exchange, complete=True))

    def _end(self, outcome: Outcome, error: str) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self.idle_since = now = self._clock()
            exchange.end(outcome, error, now)
            self._on_end(self, exchange)
