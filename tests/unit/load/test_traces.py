import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.errors import InputError
from tuner.domain.workload import Trace, TraceFormat
from tuner.load.traces import TraceRequest, describe_trace, estimated_tokens, read_trace

Write = Callable[..., Trace]
BURSTGPT = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
ROWS = f"{BURSTGPT}40,GPT-4,300,30,330,API log\n10,ChatGPT,100,10,110,API log\n20,ChatGPT,900,0,900,API log\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str = ROWS, kind: TraceFormat = TraceFormat.BURSTGPT, **keys: int) -> Trace:
        file = tmp_path / "trace"
        file.write_text(text)
        return Trace.model_validate({"file": str(file), "format": kind, **keys})

    return _write


def test_requests_come_in_order_of_time_from_the_first_one(write: Write):
    assert read_trace(write()) == (TraceRequest(0.0, 100, 10), TraceRequest(30.0, 300, 30))


def test_requests_without_times_stay_in_the_files_order(write: Write):
    trace = write('{"prompt": "b"}\n{"prompt": "a"}\n', TraceFormat.PROMPTS, output_tokens=3)
    assert read_trace(trace) == (TraceRequest(None, None, 3, "b"), TraceRequest(None, None, 3, "a"))


def test_equal_times_keep_the_files_order_and_the_blocks(write: Write):
    lines = [f'{{"timestamp": 5, "input_length": {n}, "output_length": 1, "hash_ids": [{n}]}}\n' for n in (3, 1, 2)]
    found = read_trace(write("".join(lines), TraceFormat.MOONCAKE))
    assert [(one.at, one.prefix_blocks) for one in found] == [(0.0, (3,)), (0.0, (1,)), (0.0, (2,))]


def test_a_long_trace_need_not_be_read_whole(write: Write):
    trace = write(ROWS + "this row is broken\n")
    assert read_trace(trace, at_most=1) == (TraceRequest(0.0, 300, 30),)
    with pytest.raises(InputError, match="trace:5: has 1 columns"):
        read_trace(trace)


def test_a_trace_is_described_by_hash_counts_longest_request_and_time(write: Write):
    trace = describe_trace(write())
    assert trace.sha256 == hashlib.sha256(ROWS.encode()).hexdigest()
    assert (trace.requests, trace.skipped, trace.longest, trace.seconds) == (2, 1, 330, 30.0)


def test_a_trace_without_times_has_no_length_in_time(write: Write):
    assert describe_trace(write('{"prompt": "a"}\n', TraceFormat.PROMPTS)).seconds is None
    assert describe_trace(write('{"prompt": "a", "timestamp": 5}\n', TraceFormat.PROMPTS)).seconds == 0


def test_requests_that_are_too_long_are_left_out_and_counted(write: Write):
    trace = describe_trace(write(max_tokens=110))
    assert (trace.requests, trace.skipped, trace.longest) == (1, 2, 110)
    assert read_trace(trace) == (TraceRequest(0.0, 100, 10),)


def test_texts_are_measured_in_bytes(write: Write):
    text = '{"prompt": "饺子", "output_tokens": 5}\n{"prompt": "four", "output_tokens": 1}\n'
    assert describe_trace(write(text, TraceFormat.PROMPTS)).longest == 2 + 5


@given(st.text(min_size=1), st.text(min_size=1))
def test_the_estimate_of_tokens_grows_with_the_text(text: str, more: str):
    assert (
        1 <= estimated_tokens(text) <= estimated_tokens(text + more) <= estimated_tokens(text) + estimated_tokens(more)
    )


def test_a_trace_is_read_again_only_while_it_is_the_same(write: Write):
    trace = describe_trace(write())
    assert len(read_trace(trace)) == trace.requests
    write(ROWS.replace("300,30", "300,31"))
    for read in (read_trace, describe_trace):
        with pytest.raises(InputError, match="has changed: its sha256 was"):
            read(trace)


def test_a_described_trace_stays_as_it_is(write: Write):
    trace = describe_trace(write())
    assert describe_trace(trace) == trace


@pytest.mark.parametrize("text", [BURSTGPT, f"{BURSTGPT}1,x,5,0,5,y\n", ""])
def test_a_trace_without_any_request_is_refused(write: Write, text: str):
    for read in (read_trace, describe_trace):
        with pytest.raises(InputError, match="holds no request that can be sent again"):
            read(write(text))


@pytest.mark.parametrize(
    ("file", "message"),
    [("gone.csv", "gone.csv: there is no such file"), (".", "can't be read: "), ("a\0b", "can't be read: ")],
)
def test_a_file_that_cant_be_read_is_named(file: str, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        read_trace(Trace(file=str(tmp_path / file), format=TraceFormat.AZURE))


def test_a_shipped_sample_is_found_from_everywhere_and_nothing_outside_is():
    assert read_trace(Trace(file="shipped:azure-sample.csv", format=TraceFormat.AZURE))
    with pytest.raises(InputError, match="there is no such file"):
        read_trace(Trace(file="shipped:../library.py", format=TraceFormat.AZURE))
    with pytest.raises(InputError, match="there is no such file"):
        read_trace(Trace(file="shipped:none.csv", format=TraceFormat.AZURE))
