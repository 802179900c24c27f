"""What `tuner bench` asks a server, and how much it sends."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tuner.domain.arrivals import (
    Arrivals,
    ClosedLoop,
    ConstantArrivals,
    GammaArrivals,
    PoissonArrivals,
    RampArrivals,
    TraceArrivals,
)
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.lengths import FixedLength
from tuner.domain.workload import Trace, TraceFormat, Workload
from tuner.study.bench import BenchPlan, base_url, enough_requests, only_model

EIGHT = FixedLength(tokens=8)


def answering(handler: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url="http://server:8000", transport=httpx.MockTransport(handler))


def models(*names: str) -> httpx.AsyncClient:
    listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}
    return answering(lambda _: httpx.Response(200, text=json.dumps(listed)))


def plan(arrivals: Arrivals, seconds: float | None = 100.0, **workload: Any) -> BenchPlan:
    asked = Workload(output_tokens=FixedLength(tokens=95)).model_copy(update=workload)
    return BenchPlan(url="http://server", workload=asked, arrivals=arrivals, seed=1, send_for_s=seconds)


@pytest.mark.parametrize("text", ["http://h:8000", " http://h:8000/ ", "http://h:8000/v1", "http://h:8000/v1/"])
def test_a_base_url_is_taken_with_or_without_its_version(text: str):
    assert base_url(text) == "http://h:8000"


def test_a_path_before_the_version_stays():
    assert base_url("https://h/team/v1") == "https://h/team"


@pytest.mark.parametrize("text", ["localhost:8000", "h", "", "ftp://h", "http://", "http://h:port"])
def test_what_is_no_url_is_refused(text: str):
    with pytest.raises(InputError, match="--url"):
        base_url(text)


async def test_the_only_model_is_taken():
    assert await only_model(models("tiny")) == "tiny"


async def test_of_several_models_none_is_guessed():
    with pytest.raises(InputError, match=r"several models: tiny, tiny-lora\nName one with --model"):
        await only_model(models("tiny", "tiny-lora"))


@pytest.mark.parametrize(
    "response", [httpx.Response(404), httpx.Response(200, text="<html>"), httpx.Response(200, text="[]")]
)
async def test_a_server_that_does_not_list_its_models_needs_a_name(response: httpx.Response):
    with pytest.raises(InputError, match="does not list its models"):
        await only_model(answering(lambda _: response))


async def test_a_refused_key_is_told():
    with pytest.raises(InputError, match=r"refuses the API key \(HTTP 401\)"):
        await only_model(answering(lambda _: httpx.Response(401)))


async def test_a_server_that_is_not_there_is_told():
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(SurroundingsError, match="can't be reached: connection refused"):
        await only_model(answering(refuse))


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        (ConstantArrivals(rate=4), 406),
        (PoissonArrivals(rate=4), 526),
        (GammaArrivals(rate=4, burstiness=0.25), 646),
        (RampArrivals(from_rate=2, to_rate=6), 526),
        (ClosedLoop(concurrency=10), 32_958),
    ],
)
def test_more_requests_are_made_than_a_duration_can_hold(arrivals: Arrivals, expected: int):
    assert enough_requests(plan(arrivals)) == expected


def test_a_closed_loop_prepares_no_more_than_memory_holds():
    assert enough_requests(plan(ClosedLoop(concurrency=32), seconds=1e6)) * (512 + 95) <= 20_100_000


def test_short_prompts_may_be_sent_often():
    short = plan(ClosedLoop(concurrency=3), seconds=2, input_tokens=EIGHT, output_tokens=EIGHT)
    assert enough_requests(short) == 3 + 2 * 5000


def test_a_trace_is_replayed_as_a_whole():
    trace = Trace(file="t", format=TraceFormat.AZURE, requests=77)
    assert enough_requests(plan(TraceArrivals(), trace=trace)) == 77
    assert enough_requests(plan(ClosedLoop(concurrency=2), None, trace=trace)) == 77
