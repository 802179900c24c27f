from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tuner.domain.lengths import FixedLength
from tuner.domain.workload import (
    ChainStep,
    Conversation,
    ExponentialPause,
    FixedPause,
    RequestClass,
    SharedPrefix,
    Trace,
    TraceFormat,
    Workload,
)

Counts = st.integers(1, 10_000)
CALL = {"name": "call", "input_tokens": 10, "output_tokens": 5}
OTHER_WORK = {"name": "other", "before": "300ms"}
CLASS = {"name": "chat", "weight": 7, "input_tokens": 10, "output_tokens": 5}
TRACE = {"file": "a.csv", "format": "azure"}
KINDS: dict[str, Any] = {
    "classes": [CLASS],
    "conversation": {"turns": 3},
    "chain": [CALL],
    "trace": TRACE,
}


def _workload(**keys: Any) -> Workload:
    return Workload.model_validate(keys)


def _fixed(tokens: int) -> FixedLength:
    return FixedLength(tokens=tokens)


def test_a_plain_workload_holds_a_prompt_and_an_answer():
    assert _workload(input_tokens=128, output_tokens=32).longest_request == 160
    lengths = {"input_tokens": {"type": "uniform", "low": 1, "high": 9}, "output_tokens": 1}
    assert _workload(**lengths).longest_request == 10


@given(Counts, Counts, Counts)
def test_a_prefix_comes_on_top_even_where_few_requests_have_one(prefix: int, prompt: int, answer: int):
    shared = SharedPrefix(tokens=_fixed(prefix), share=0.01)
    workload = Workload(input_tokens=_fixed(prompt), output_tokens=_fixed(answer), prefix=shared)
    assert workload.longest_request == prefix + prompt + answer


@given(Counts, Counts, Counts, st.integers(1, 50))
def test_the_last_turn_of_a_conversation_holds_all_that_was_said(prefix: int, prompt: int, answer: int, turns: int):
    workload = Workload(
        input_tokens=_fixed(prompt),
        output_tokens=_fixed(answer),
        prefix=SharedPrefix(tokens=_fixed(prefix)),
        conversation=Conversation(turns=_fixed(turns)),
    )
    context = prefix
    for _ in range(turns):
        context += prompt + answer
    assert workload.longest_request == context


@given(st.lists(st.tuples(Counts, Counts, st.none() | Counts), min_size=1, max_size=5))
def test_the_longest_of_all_classes_counts(lengths: list[tuple[int, int, int | None]]):
    classes = tuple(
        RequestClass(
            name=f"class-{number}",
            weight=1,
            input_tokens=_fixed(prompt),
            output_tokens=_fixed(answer),
            prefix=SharedPrefix(tokens=_fixed(prefix)) if prefix else None,
        )
        for number, (prompt, answer, prefix) in enumerate(lengths)
    )
    assert Workload(classes=classes).longest_request == max(
        prompt + answer + (prefix or 0) for prompt, answer, prefix in lengths
    )


@given(st.lists(st.tuples(Counts, Counts), min_size=1, max_size=5))
def test_the_longest_call_of_a_chain_counts(lengths: list[tuple[int, int]]):
    calls = [
        ChainStep(name=f"call-{number}", input_tokens=_fixed(prompt), output_tokens=_fixed(answer))
        for number, (prompt, answer) in enumerate(lengths)
    ]
    chain = (*calls, ChainStep(name="retrieval", before=FixedPause(seconds=1)))
    assert Workload(chain=chain).longest_request == max(prompt + answer for prompt, answer in lengths)


def test_a_trace_knows_its_longest_request():
    assert _workload(trace=TRACE | {"longest": 4321}).longest_request == 4321


@pytest.mark.parametrize(("one", "other"), [(a, b) for a in KINDS for b in KINDS if a < b])
def test_a_workload_is_of_one_kind(one: str, other: str):
    with pytest.raises(ValidationError, match="don't go together: give one of them") as caught:
        _workload(**{one: KINDS[one], other: KINDS[other]})
    assert one in str(caught.value)
    assert other in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_stored_and_read_back(kind: str):
    workload = _workload(**{kind: KINDS[kind]}, seed=5, endpoint="chat")
    assert Workload.model_validate_json(workload.model_dump_json()) == workload


def test_a_step_calls_the_model_or_does_other_work():
    (call, other) = _workload(chain=[CALL, OTHER_WORK]).chain
    assert (call.is_call, other.is_call) == (True, False)
    assert other.before == FixedPause(seconds=0.3)


@pytest.mark.parametrize(
    ("written", "pause"),
    [
        ("300ms", FixedPause(seconds=0.3)),
        ("2min", FixedPause(seconds=120)),
        (2, FixedPause(seconds=2)),
        (0, FixedPause(seconds=0)),
        ({"type": "fixed", "seconds": 2.5}, FixedPause(seconds=2.5)),
        ({"type": "exponential", "mean": 8}, ExponentialPause(type="exponential", mean=8)),
    ],
)
def test_a_pause_is_a_duration_or_a_distribution(written: object, pause: FixedPause | ExponentialPause):
    assert Conversation.model_validate({"turns": 2, "think_time": written}).think_time == pause


@pytest.mark.parametrize(
    "keys",
    [
        {"chain": [OTHER_WORK]},
        {"chain": [CALL, CALL]},
        {"chain": [{"name": "a", "input_tokens": 5}]},
        {"chain": [{"name": "a", "output_tokens": 5}]},
        {"chain": [CALL | {"name": "a b"}]},
        {"chain": [CALL | {"before": "-1s"}]},
        {"chain": [CALL | {"before": "soon"}]},
        {"chain": [CALL | {"before": True}]},
        {"classes": [CLASS, CLASS]},
        {"classes": [CLASS | {"weight": 0}]},
        {"classes": [{"name": "chat", "weight": 1}]},
        {"conversation": {"think_time": 2}},
        {"conversation": {"turns": 0}},
        {"conversation": {"turns": 2, "think_time": {"type": "exponential", "mean": 0}}},
        {"prefix": {"tokens": 5, "share": 0}},
        {"prefix": {"tokens": 5, "share": 1.1}},
        {"prefix": {"tokens": 5, "count": 0}},
        {"trace": {"file": "a.csv"}},
        {"trace": {"file": "a.csv", "format": "csv"}},
        {"trace": TRACE | {"max_tokens": 0}},
        {"endpoint": "embeddings"},
        {"seed": -1},
        {"seed": 2**32},
        {"ignore_eos": "yes"},
        {"tokens": 5},
    ],
)
def test_an_impossible_workload_is_refused(keys: dict[str, Any]):
    with pytest.raises(ValidationError):
        _workload(**keys)


def test_workloads_are_comparable_only_where_they_are_the_same():
    assert _workload(input_tokens=128).identity == _workload(input_tokens={"type": "fixed", "tokens": 128}).identity
    assert len(_workload().identity) == 12


@pytest.mark.parametrize(
    "change",
    [
        {"input_tokens": 129},
        {"output_tokens": 129},
        {"seed": 1},
        {"endpoint": "chat"},
        {"ignore_eos": False},
        {"prefix": {"tokens": 5}},
        *({kind: keys} for kind, keys in KINDS.items()),
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_reaches_the_server_is_part_of_the_identity(change: dict[str, Any]):
    assert _workload(**change).identity != _workload().identity


def test_words_for_people_and_a_traces_path_are_no_part_of_the_identity():
    assert _workload(description="mine").identity == _workload().identity
    here = Workload(trace=Trace(file="/here/a.csv", format=TraceFormat.AZURE, sha256="0a", requests=5, longest=9))
    there = Workload(trace=Trace(file="shipped:b.csv", format=TraceFormat.AZURE, sha256="0a", requests=5, longest=9))
    assert here.identity == there.identity


@pytest.mark.parametrize("change", [{"sha256": "0b"}, {"format": "burstgpt"}, {"output_tokens": 5}, {"max_tokens": 5}])
def test_what_a_trace_holds_and_how_it_is_read_is_part_of_the_identity(change: dict[str, Any]):
    assert _workload(trace=TRACE | change).identity != _workload(trace=TRACE | {"sha256": "0a"}).identity
