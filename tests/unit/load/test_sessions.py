"""What a load point asks for, as data."""

from typing import Any

import pytest

from tuner.domain.workload import Workload
from tuner.load.sessions import Session, sessions
from tuner.load.trace_formats import TraceRequest

PREFIXED: dict[str, Any] = {"prefix": {"tokens": 32, "share": 0.5, "count": 2}}


def make(
    count: int = 200, load_seed: int = 1, rows: tuple[TraceRequest, ...] = (), **workload: Any
) -> tuple[Session, ...]:
    like = Workload.model_validate({"input_tokens": 16, "output_tokens": 8} | workload)
    return tuple(sessions(like, count, load_seed, first_token=10, vocabulary=5000, trace=rows))


def test_a_plain_workload_is_single_calls_that_share_nothing():
    made = make()
    assert all(len(session.calls) == 1 and session.calls[0].prefix is None for session in made)
    assert {(call.input_tokens, call.output_tokens) for session in made for call in session.calls} == {(16, 8)}
    assert len({session.calls[0].content[:4] for session in made}) == len(made)


def test_a_seed_gives_the_same_sessions_and_another_shares_no_prompt():
    first, other = make(), make(load_seed=2)
    assert first == make()
    assert not {session.calls[0].content for session in first} & {session.calls[0].content for session in other}


def test_output_lengths_do_not_depend_on_how_input_lengths_are_drawn():
    spread = {"type": "uniform", "low": 1, "high": 99}
    fixed, drawn = make(input_tokens=5, output_tokens=spread), make(input_tokens=spread, output_tokens=spread)
    assert [s.calls[0].output_tokens for s in fixed] == [s.calls[0].output_tokens for s in drawn]
    assert [s.calls[0].output_tokens for s in drawn] != [s.calls[0].input_tokens for s in drawn]


def test_a_share_of_prompts_begins_with_one_of_few_prefixes_that_all_load_points_have():
    prefixes = [session.calls[0].prefix for session in make(1000, **PREFIXED)]
    assert 0.42 < sum(prefix is not None for prefix in prefixes) / 1000 < 0.58
    shared = {prefix for prefix in prefixes if prefix is not None}
    assert [len(prefix) for prefix in shared] == [32, 32]
    assert {session.calls[0].prefix for session in make(1000, load_seed=2, **PREFIXED)} == {*shared, None}
    assert not {session.calls[0].prefix for session in make(1000, seed=9, **PREFIXED)} & shared


def test_a_mix_has_its_shares_and_its_names():
    classes = [
        {"name": "chat", "weight": 7, "input_tokens": 10, "output_tokens": 20},
        {"name": "summarise", "weight": 3, "input_tokens": 90, "output_tokens": 5, "prefix": {"tokens": 4}},
    ]
    calls = [session.calls[0] for session in make(2000, classes=classes)]
    chats = [call for call in calls if call.label == "chat"]
    assert 0.67 < len(chats) / len(calls) < 0.73
    assert {(call.input_tokens, call.output_tokens) for call in chats} == {(10, 20)}
    assert {(call.label, call.input_tokens) for call in calls} == {("chat", 10), ("summarise", 94)}


def test_a_conversation_has_turns_with_time_to_think_between_them():
    turns = {"type": "uniform", "low": 2, "high": 4}
    talk = {"turns": turns, "think_time": {"type": "exponential", "mean": 2.0}}
    made = make(conversation=talk, prefix={"tokens": 8})
    assert {len(session.calls) for session in made} == {2, 3, 4}
    assert all(session.follows for session in made)
    assert all(session.calls[0].pause == 0 and session.calls[0].prefix is not None for session in made)
    later = [call for session in made for call in session.calls[1:]]
    assert all(call.prefix is None for call in later)
    assert 1.6 < sum(call.pause for call in later) / len(later) < 2.4
    assert [call.label for call in made[0].calls[:2]] == ["turn 1", "turn 2"]


def test_a_chain_waits_for_other_work_before_and_after_its_calls():
    steps = [
        {"name": "routing", "input_tokens": 5, "output_tokens": 1},
        {"name": "retrieval", "before": "300ms"},
        {"name": "answer", "input_tokens": 50, "output_tokens": 9, "before": 0.1},
        {"name": "delivery", "before": "200ms"},
    ]
    (session,) = make(1, chain=steps)
    assert [(call.label, call.input_tokens, call.pause) for call in session.calls] == [
        ("routing", 5, 0.0),
        ("answer", 50, pytest.approx(0.4)),
    ]
    assert session.tail == pytest.approx(0.2)
    assert not session.follows


def test_a_chat_is_of_words():
    (call,) = make(1, endpoint="chat", prefix={"tokens": 3})[0].calls
    assert isinstance(call.content, str)
    assert isinstance(call.prefix, str)
    assert call.input_tokens == 16 + 3


TRACE: dict[str, Any] = {"trace": {"file": "t", "format": "mooncake"}}


def test_a_trace_is_replayed_as_far_as_it_goes():
    rows = (TraceRequest(0.0, 7, 3), TraceRequest(1.0, None, 4, "What is it?"))
    made = make(5, rows=rows, **TRACE)
    assert [(session.calls[0].input_tokens, session.calls[0].output_tokens) for session in made] == [(7, 3), (3, 4)]
    assert made[1].calls[0].content == "What is it?"
    assert len(make(1, rows=rows, **TRACE)) == 1


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_equal_blocks_of_a_trace_are_an_equal_beginning(endpoint: str):
    rows = (
        TraceRequest(0.0, 1000, 1, None, (1, 2)),
        TraceRequest(0.0, 1030, 1, None, (1, 2)),
        TraceRequest(0.0, 600, 1, None, (1, 3)),
    )
    made = make(3, rows=rows, endpoint=endpoint, **TRACE)
    contents = [session.calls[0].content for session in made]
    first, second, third = (text.split() if isinstance(text, str) else list(text) for text in contents)
    assert (len(first), len(second), len(third)) == (1000, 1030, 600)
    assert first == second[:1000]
    assert first[:512] == third[:512]
    assert first[512:600] != third[512:600]
