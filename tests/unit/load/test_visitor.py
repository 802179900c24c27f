"""One session under way, and the supply of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tuner.domain.arrivals import ClosedLoop
from tuner.domain.load import LoadJob, Outcome
from tuner.domain.workload import Workload
from tuner.load.exchange import Exchange
from tuner.load.sessions import Call, Session
from tuner.load.visitor import Supply, Visitor, Writer

TALK = Session((Call((1, 2), 2, prefix=(9,)), Call((3,), 2, pause=1.5), Call((4,), 2)), follows=True)
CHAIN = Session((Call((1, 2), 2, label="a", pause=0.5), Call((3,), 2, label="b")), tail=2.0)


def writer(**workload: Any) -> Writer:
    like = Workload.model_validate({"input_tokens": 2, "output_tokens": 2} | workload)
    job = LoadJob(
        url="http://h",
        model="m",
        vocabulary=500,
        first_token=100,
        workload=like,
        arrivals=ClosedLoop(concurrency=1),
        requests=3,
        deadline_s=1.0,
        seed=7,
    )
    return Writer(job, "")


def talker(**workload: Any) -> Visitor:
    return Visitor(TALK, writer(conversation={"turns": 3}, **workload), 5)


def answered(exchange: Exchange, *chunks: dict[str, Any], outcome: Outcome = Outcome.OK) -> None:
    for choice in chunks:
        exchange.stream.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
    exchange.stream.completion_tokens = 2
    exchange.end(outcome, "", 1.0)


def body(exchange: Exchange) -> dict[str, Any]:
    return json.loads(exchange.payload.split(b"\r\n\r\n", 1)[1])


def test_a_turn_is_written_from_the_answer_before_it():
    visitor = talker()
    assert body(visitor.exchange)["prompt"] == [9, 1, 2]
    answered(visitor.exchange, {"text": "x", "token_ids": [7]}, {"text": "y", "token_ids": [8]})
    assert visitor.go_on()
    assert (visitor.pause, visitor.exchange.session, visitor.exchange.step) == (1.5, 5, 1)
    assert body(visitor.exchange)["prompt"] == [9, 1, 2, 7, 8, 3]
    assert visitor.exchange.input_tokens == 6


def test_token_ids_are_asked_for_and_answers_kept_only_where_a_turn_follows():
    visitor = talker()
    assert body(visitor.exchange)["return_token_ids"] is True
    for _ in range(2):
        answered(visitor.exchange, {"text": "x", "token_ids": [7, 8]})
        assert visitor.exchange.stream.body
        first = visitor.exchange
        assert visitor.go_on()
        assert first.stream.body is None, "it is not needed any more"
    assert "return_token_ids" not in body(visitor.exchange)
    assert visitor.exchange.stream.body is None
    answered(visitor.exchange)
    assert not visitor.go_on()


def test_calls_that_need_no_answer_are_written_at_once():
    visitor = Visitor(CHAIN, writer(chain=[{"name": "a", "input_tokens": 1, "output_tokens": 1}]), 0)
    size = visitor.size
    answered(visitor.exchange)
    assert visitor.go_on()
    assert visitor.size == size
    assert (body(visitor.exchange)["prompt"], visitor.exchange.label) == ([3], "b")


def test_other_work_after_the_last_call_is_done_only_where_that_succeeded():
    for outcome, tail in ((Outcome.OK, 2.0), (Outcome.CUT, 0.0)):
        visitor = Visitor(CHAIN, writer(chain=[{"name": "a", "input_tokens": 1, "output_tokens": 1}]), 0)
        answered(visitor.exchange)
        assert visitor.go_on()
        answered(visitor.exchange, outcome=outcome)
        assert not visitor.go_on()
        assert visitor.tail == tail


def test_a_failed_call_ends_its_session():
    visitor = talker()
    answered(visitor.exchange, outcome=Outcome.SHORT)
    assert not visitor.go_on()


def test_requests_that_stand_for_themselves_have_no_number():
    assert Visitor(Session((Call((1,), 2),)), writer(), 3).exchange.session == -1


def test_texts_of_a_trace_are_kept_apart_from_those_of_other_load_points():
    session = Session((Call("What is it?", 2),))
    texts = writer(trace={"file": "t", "format": "prompts"})
    assert body(Visitor(session, texts, 0).exchange)["cache_salt"] == "tuner-7"
    plain = writer(trace={"file": "t", "format": "prompts"}, ignore_eos=False)
    assert "cache_salt" not in body(Visitor(session, plain, 0).exchange), "it is vLLM's alone"
    assert "cache_salt" not in body(Visitor(session, writer(), 0).exchange)


@pytest.mark.parametrize(("ready_bytes", "made"), [(1, 1), (600, 3), (10**9, 5)])
def test_a_supply_makes_ready_what_fits_and_the_rest_one_by_one(ready_bytes: int, made: int):
    drawn: list[int] = []

    def visitors() -> Iterator[Visitor]:
        for number in range(5):
            drawn.append(number)
            yield Visitor(Session((Call((number,), 2),)), likes, number)

    likes = writer()
    assert 200 < Visitor(Session((Call((0,), 2),)), likes, 0).size < 300
    supply = Supply(visitors(), 5, ready_bytes=ready_bytes)
    assert len(drawn) == made
    taken = [supply.take()]
    supply.refill()
    assert len(drawn) == min(made + 1, 5)
    taken += [supply.take() for _ in range(4)]
    assert [body(visitor.exchange)["prompt"] for visitor in taken] == [[number] for number in range(5)]
    assert supply.left == 0
