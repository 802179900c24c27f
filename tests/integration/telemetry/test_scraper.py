import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import pytest

from tuner.telemetry.scraper import scraping

Answer = Callable[[int], tuple[int, str]]


class MetricsServer:
    """Answers the n-th GET with what `answer(n)` says, and remembers the requests."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.url = ""
        self.connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.create_task(self.handle(reader, writer)))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):  # the client may leave at any time
            while True:
                self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
                status, body = self.answer(len(self.requests))
                head = f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write((head + body).encode())
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(answer: Answer) -> AsyncGenerator[MetricsServer]:
    metrics = MetricsServer(answer)
    server = await asyncio.start_server(metrics.accept, "127.0.0.1", 0)
    metrics.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield metrics
    await asyncio.gather(*metrics.connections)


def page(count: int, running: int = 0) -> tuple[int, str]:
    lines = [f'vllm:generation_tokens_total{{engine="0"}} {count}.0', f"vllm:num_requests_running {running}.0"]
    return 200, "\n".join(lines) + "\n"


def still(_: int) -> tuple[int, str]:
    return page(7)


async def test_it_scrapes_before_during_and_after_the_load():
    clock = asyncio.get_running_loop().time
    async with serving(still) as server:
        async with scraping(server.url, interval=0.05, clock=clock) as scraper:
            origin = clock()
            await asyncio.sleep(0.22)
            end = clock()
        scrapes = scraper.scrapes(origin)
    assert {scrape.generation_tokens for scrape in scrapes} == {7.0}
    assert 3 <= len(scrapes) <= 6
    assert scrapes[0].at < 0
    assert all(0 < scrape.at < end - origin for scrape in scrapes[1:-1])
    assert scrapes[-1].at > end - origin
    assert (scraper.failures, scraper.drained) == (0, True)


async def test_the_last_scrape_waits_until_nothing_runs_and_the_counters_stand():
    pages = [page(0), page(0), page(90, 1), page(95, 1), page(99), page(100), page(100)]
    async with serving(lambda n: pages[min(n, len(pages)) - 1]) as server:
        async with scraping(server.url) as scraper:
            pass
        assert len(server.requests) == len(pages)
    assert [scrape.generation_tokens for scrape in scraper.scrapes(0.0)] == [0.0, 100.0]
    assert scraper.drained


async def test_a_server_that_others_use_is_not_waited_for_in_vain_and_counts_as_not_drained():
    async with serving(page) as server, scraping(server.url, patience=0.0) as scraper:
        pass
    assert [scrape.generation_tokens for scrape in scraper.scrapes(0.0)] == [1.0, 2.0]
    assert not scraper.drained


async def test_the_key_goes_with_every_request():
    async with serving(still) as server, scraping(server.url, api_key="secret"):
        pass
    assert {request.splitlines()[0] for request in server.requests} == {"GET /metrics HTTP/1.1"}
    assert all("authorization: bearer secret" in request.lower() for request in server.requests)


@pytest.mark.parametrize("bad", [(500, ""), (200, "vllm:generation_tokens_total soon\n")], ids=["status", "unreadable"])
async def test_a_failed_scrape_is_skipped_and_counted(bad: tuple[int, str]):
    async with serving(lambda n: bad if n == 1 else still(n)) as server:
        async with scraping(server.url) as scraper:
            pass
        assert [scrape.generation_tokens for scrape in scraper.scrapes(0.0)] == [7.0]
    assert (scraper.failures, scraper.drained) == (1, False)


async def test_a_server_that_is_gone_does_not_disturb_the_load():
    async with serving(still) as server:
        url = server.url
    async with scraping(url, interval=0.02) as scraper:
        await asyncio.sleep(0.05)
    assert scraper.scrapes(0.0) == ()
    assert scraper.failures >= 3


async def test_an_error_of_the_load_passes_through_and_scraping_stops():
    async with serving(still) as server:
        with pytest.raises(ZeroDivisionError):
            async with scraping(server.url, interval=60.0):
                raise ZeroDivisionError
        seen = len(server.requests)
        await asyncio.sleep(0.05)
        assert len(server.requests) == seen == 2


async def test_a_cancelled_load_stays_cancelled():
    loading = asyncio.Event()

    async def load(url: str) -> None:
        async with scraping(url, interval=0.02):
            loading.set()
            await asyncio.sleep(60)

    async with serving(still) as server:
        task = asyncio.create_task(load(server.url))
        await loading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
