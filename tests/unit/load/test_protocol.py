"""One connection, fed by hand: no sockets, a clock of its own."""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.load import Outcome
from tuner.load.exchange import Exchange
from tuner.load.protocol import Connection

if TYPE_CHECKING:
    import asyncio

TOKEN = b'data: {"choices":[{"index":0,"text":"a"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Transport:
    """What a connection needs of a transport, written down."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


class Clock:
    """Each reading is a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def chunk(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)


STREAM = HEAD + chunk(TOKEN) + chunk(TOKEN) + chunk(USAGE + DONE) + b"0\r\n\r\n"


def under_way(on_end: Callable[[Connection, Exchange], None] = lambda _connection, _exchange: None):
    connection, transport = Connection(Clock(), on_end), Transport()
    connection.connection_made(cast("asyncio.Transport", transport))
    exchange = Exchange(payload=b"POST", input_tokens=1, requested_tokens=2, exact=True)
    connection.send(exchange)
    return connection, transport, exchange


def test_events_of_one_read_share_the_time_of_the_read():
    connection, transport, exchange = under_way()
    assert transport.written == [b"POST"]
    assert exchange.sent_at == 1.0
    connection.data_received(HEAD + chunk(TOKEN) + chunk(TOKEN))
    assert exchange.event_times == [2.0, 2.0]
    connection.data_received(chunk(USAGE + DONE) + b"0\r\n\r\n")
    assert exchange.outcome is Outcome.OK
    assert exchange.finished_at == 4.0
    assert connection.usable


@given(places=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_a_response_cut_anywhere_gives_the_same_verdict(places: list[int]):
    connection, _, exchange = under_way()
    marks = [0, *sorted(places), len(STREAM)]
    for start, end in pairwise(marks):
        if start < end:
            connection.data_received(STREAM[start:end])
    assert (exchange.outcome, len(exchange.event_times)) == (Outcome.OK, 2)
    assert connection.usable


@given(length=st.integers(0, len(STREAM) - len(chunk(USAGE + DONE)) - 5))
def test_a_response_that_stops_anywhere_before_done_is_a_cut(length: int):
    connection, _, exchange = under_way()
    if length:
        connection.data_received(STREAM[:length])
    connection.connection_lost(None)
    assert exchange.outcome is Outcome.CUT


def test_a_connection_carries_one_exchange_after_the_other():
    ended: list[Outcome | None] = []
    connection, _, _ = under_way(lambda _connection, exchange: ended.append(exchange.outcome))
    connection.data_received(STREAM)
    again = Exchange(payload=b"POST", input_tokens=1, requested_tokens=2, exact=True)
    connection.send(again)
    connection.data_received(STREAM)
    connection.connection_lost(None)
    assert ended == [Outcome.OK, Outcome.OK]


def test_an_announcement_before_the_answer_is_not_the_answer():
    connection, _, exchange = under_way()
    connection.data_received(b"HTTP/1.1 103 Early Hints\r\n\r\n" + STREAM)
    assert exchange.outcome is Outcome.OK


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_an_error_status_keeps_its_body_as_evidence(status: int):
    connection, _, exchange = under_way()
    connection.data_received(b"HTTP/1.1 %d No\r\ncontent-length: 9\r\n\r\ntoo\nmany " % status)
    assert exchange.outcome is Outcome.HTTP_ERROR
    assert exchange.error == f"HTTP {status} too many"
    assert connection.usable


def test_a_server_that_closes_is_not_written_to_again():
    connection, transport, exchange = under_way()
    connection.data_received(STREAM.replace(b"chunked\r\n", b"chunked\r\nconnection: close\r\n"))
    assert exchange.outcome is Outcome.OK
    assert transport.closed
    assert not connection.usable


def test_what_is_no_http_ends_the_exchange_and_the_connection():
    connection, transport, exchange = under_way()
    connection.data_received(b"SSH-2.0-OpenSSH\r\n")
    assert exchange.outcome is Outcome.CUT
    assert "not HTTP" in exchange.error
    assert transport.closed


def test_bytes_that_nobody_asked_for_close_the_connection():
    connection, transport, _ = under_way()
    connection.data_received(STREAM)
    connection.data_received(b"HTTP/1.1 408 Timeout\r\ncontent-length: 0\r\n\r\n")
    assert transport.closed
