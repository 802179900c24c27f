"""Reading a streamed completion's body."""

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.load.sse import CompletionStream

TOKEN = {"id": "cmpl-1", "choices": [{"index": 0, "text": "é", "finish_reason": None}]}
EMPTY = {"id": "cmpl-1", "choices": [{"index": 0, "text": "", "finish_reason": None}]}
USAGE: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 4, "total_tokens": 8, "completion_tokens": 4}}
ERROR = {"error": {"message": "EngineCore encountered\nan issue", "code": 500}}


@dataclass(frozen=True)
class Findings:
    events: int
    prompt_tokens: int | None
    completion_tokens: int | None
    error: str
    done: bool


def event(chunk: object, separators: tuple[str, str] = (",", ":")) -> bytes:
    return b"data: " + json.dumps(chunk, separators=separators, ensure_ascii=False).encode() + b"\n\n"


def read(*pieces: bytes) -> Findings:
    stream = CompletionStream()
    events = sum(1 if stream.is_token(piece) else stream.feed(piece) for piece in pieces) + stream.finish()
    return Findings(events, stream.prompt_tokens, stream.completion_tokens, stream.error, stream.done)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(marks)]


TEXTS = st.text() | st.sampled_from(['"choices":[{', '"error"', '"usage":{', "data: [DONE]\n\n", "\r\n\r\n"])
CHUNKS = st.one_of(
    TEXTS.map(lambda text: event({"choices": [{"index": 0, "text": text}]})),
    TEXTS.map(lambda text: event({"choices": [{"index": 0, "text": text}]}, (", ", ": "))),
    TEXTS.map(lambda text: event({"choices": [], "note": text})),
    st.sampled_from([b": ping\n\n", b"\n\n", event(USAGE), event(ERROR), b"data: [DONE]\n\n", b"event: x\nid: 1\n\n"]),
)
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(chunks=st.lists(CHUNKS, max_size=8), places=st.lists(st.integers(0, 10_000)), line_end=LINE_ENDS)
def test_findings_do_not_depend_on_cuts_or_line_ends(chunks: list[bytes], places: list[int], line_end: bytes):
    body = b"".join(chunks)
    ended = body.replace(b"\n", line_end)
    assert read(*cut(ended, places)) == read(body)
    assert read(*[ended[at : at + 1] for at in range(len(ended))]) == read(body)


@given(texts=st.lists(TEXTS, max_size=20))
def test_every_chunk_with_a_choice_counts_whatever_its_text_looks_like(texts: list[str]):
    body = b"".join(event({"choices": [{"index": 0, "text": text}]}) for text in texts)
    assert read(body) == Findings(len(texts), None, None, "", done=False)


def test_a_recorded_shape_of_stream_is_read():
    body = event(EMPTY) + event(TOKEN) * 3 + event(USAGE) + b"data: [DONE]\n\n"
    assert read(body) == Findings(4, 4, 4, "", done=True)


def test_an_event_counts_when_its_empty_line_came_not_before():
    stream = CompletionStream()
    assert stream.feed(event(TOKEN)[:-1]) == 0
    assert stream.feed(b"\n") == 1


def test_data_over_several_lines_is_joined():
    assert read(b'data: {"choices":\ndata: [{"text":"a"}]}\n\n').events == 1


def test_a_usage_beside_choices_is_read_and_the_event_counts():
    found = read(event(TOKEN | {"usage": {"prompt_tokens": 3, "completion_tokens": 9}}))
    assert (found.events, found.prompt_tokens, found.completion_tokens) == (1, 3, 9)


def test_a_null_usage_is_no_usage():
    assert read(event(TOKEN | {"usage": None})) == Findings(1, None, None, "", done=False)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (ERROR, "EngineCore encountered an issue"),
        ({"object": "error", "message": "too long", "code": 400}, "too long"),
        ({"error": "plain words"}, "plain words"),
        (TOKEN | {"error": {"message": "beside choices"}}, "beside choices"),
    ],
)
def test_an_error_chunk_is_an_error_and_no_token(chunk: dict[str, Any], message: str):
    found = read(event(TOKEN) + event(chunk) + b"data: [DONE]\n\n")
    assert found.events == 1
    assert message in found.error
    assert "\n" not in found.error


def test_the_first_error_is_kept():
    assert "first" in read(event({"error": {"message": "first"}}) + event({"error": {"message": "second"}})).error


@pytest.mark.parametrize("garbage", [b"<html>oops</html>", b"[1, 2]", b'{"choices":'])
def test_what_is_no_chunk_is_an_error(garbage: bytes):
    assert read(b"data: " + garbage + b"\n\n").error


@given(chunks=st.lists(CHUNKS, max_size=12), line_end=LINE_ENDS)
def test_whole_events_give_what_single_bytes_give(chunks: list[bytes], line_end: bytes):
    ended = [chunk.replace(b"\n", line_end) for chunk in chunks]
    body = b"".join(ended)
    assert read(*ended) == read(*[body[at : at + 1] for at in range(len(body))])


def test_chunks_like_those_before_are_tokens_at_a_glance_and_others_are_not():
    stream = CompletionStream()
    assert not stream.is_token(event(TOKEN))
    stream.feed(event(TOKEN))
    assert stream.is_token(event(EMPTY))
    assert not stream.is_token(event(TOKEN) * 2)
    assert not stream.is_token(event(TOKEN)[:-1])
    assert not stream.is_token(event(TOKEN | {"usage": USAGE["usage"]}))
    assert not stream.is_token(event(ERROR))


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_what_stands_behind_the_choices_is_learned_too(separators: tuple[str, str]):
    def chunk(text: str, usage: object = None) -> bytes:
        return event({"id": "1", "choices": [{"text": text, "token_ids": [1]}], "usage": usage}, separators)

    stream = CompletionStream()
    stream.feed(chunk("a}]"))
    assert stream.is_token(chunk("b"))
    assert stream.is_token(chunk('}],"usage":null}'))
    assert not stream.is_token(chunk("b", {"prompt_tokens": 1, "completion_tokens": 2}))
    assert not stream.is_token(event({"id": "1", "choices": [{"text": "b"}]}, separators))


def test_the_first_chunk_of_a_chat_only_says_who_speaks():
    role = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    word = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    both = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]}
    assert read(event(role), event(word)).events == 1
    assert read(event(both)).events == 1


def test_the_body_is_kept_where_it_is_asked_for():
    stream = CompletionStream(keep=True)
    pieces = [event(TOKEN), event(TOKEN)]
    assert [1 if stream.is_token(piece) else stream.feed(piece) for piece in pieces] == [1, 1]
    assert stream.body == pieces
