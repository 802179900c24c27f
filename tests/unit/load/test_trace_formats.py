import json
from collections.abc import Iterable
from typing import Any

import pytest

from tuner.domain.errors import InputError
from tuner.domain.workload import TraceFormat
from tuner.load.trace_formats import TraceRequest, reader_of

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
BURSTGPT = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
BURSTGPT_3 = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"


def _read(kind: TraceFormat, text: str | bytes, output_tokens: int = 128) -> list[TraceRequest | None]:
    content = text.encode() if isinstance(text, str) else text
    return list(reader_of(kind)(content.splitlines(keepends=True), "trace", output_tokens))


def _jsonl(*rows: object) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_mooncake_times_are_milliseconds_and_blocks_are_kept():
    text = '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353]}\n'
    assert _read(TraceFormat.MOONCAKE, text) == [TraceRequest(27.482, 6955, 52, None, (46, 47, 2353))]


def test_mooncake_lines_without_blocks_or_with_more_keys_are_read():
    row = {"timestamp": 0, "input_length": 10, "output_length": 2, "session_id": "a"}
    assert _read(TraceFormat.MOONCAKE, _jsonl(row)) == [TraceRequest(0.0, 10, 2)]


@pytest.mark.parametrize(
    ("first", "second", "seconds"),
    [
        ("2023-11-16 18:15:46.6805900", "2023-11-16 18:15:50.9951690", 4.314579),
        ("2024-05-10 00:00:00.009930+00:00", "2024-05-10 00:00:01+00:00", 0.99007),
        ("2024-03-31 01:59:59.5", "2024-03-31 03:00:00.5", 3601.0),
    ],
    ids=["2023", "2024", "an hour that a local clock leaves out"],
)
def test_azure_times_of_both_years_are_read(first: str, second: str, seconds: float):
    one, two = _read(TraceFormat.AZURE, f"{AZURE}{first},374,44\r\n{second},396,109\r\n")
    assert one is not None
    assert two is not None
    assert (one.input_tokens, one.output_tokens) == (374, 44)
    assert one.at is not None
    assert two.at is not None
    assert two.at - one.at == pytest.approx(seconds, abs=2e-6)


@pytest.mark.parametrize(
    "text",
    [
        f"{BURSTGPT}5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,0,1087,API log\n",
        f"{BURSTGPT_3}5.0,1722ac82,43,ChatGPT,472,18,490,Conversation log\n45.0,,2,GPT-4,1087,0,1087,API log",
        "\ufeffresponse tokens,REQUEST TOKENS,timestamp\n18,472,5\n\n0,1087,45\n",
    ],
    ids=["six columns", "eight columns, no line feed at the end", "other order, byte-order mark"],
)
def test_burstgpt_columns_are_found_by_name_and_failed_requests_are_left_out(text: str):
    assert _read(TraceFormat.BURSTGPT, text) == [TraceRequest(5.0, 472, 18), None]


def test_a_sharegpt_conversation_gives_its_first_question_and_the_length_of_its_answer():
    turns = [
        {"from": "system", "value": "Be kind."},
        {"from": "human", "value": "Why?"},
        {"from": "gpt", "value": "a" * 10},
        {"from": "human", "value": "And then?"},
    ]
    openai = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "x"}]
    text = json.dumps([{"id": "1", "conversations": turns}, {"messages": openai}], indent=1)
    assert _read(TraceFormat.SHAREGPT, text) == [
        TraceRequest(None, None, 2, "Why?"),
        TraceRequest(None, None, 1, "Why?"),
    ]


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [("human", "Why?")],
        [("gpt", "Because.")],
        [("human", "Why?"), ("human", "Why?")],
        [("human", ""), ("gpt", "Because.")],
        [("human", "Why?"), ("gpt", " ")],
    ],
)
def test_a_conversation_without_a_question_and_its_answer_is_left_out(turns: list[tuple[str, str]]):
    entry = {"conversations": [{"from": who, "value": said} for who, said in turns]}
    assert _read(TraceFormat.SHAREGPT, json.dumps([entry])) == [None]


def test_prompts_may_say_when_and_how_long():
    rows = [{"prompt": "a", "timestamp": 0.5, "output_tokens": 7}, {"prompt": "b", "timestamp": 1}]
    assert _read(TraceFormat.PROMPTS, _jsonl(*rows), output_tokens=9) == [
        TraceRequest(0.5, None, 7, "a"),
        TraceRequest(1.0, None, 9, "b"),
    ]
    assert _read(TraceFormat.PROMPTS, _jsonl({"prompt": "a"})) == [TraceRequest(None, None, 128, "a")]


def test_halves_of_surrogate_pairs_are_replaced_so_that_text_can_be_sent():
    (request,) = _read(TraceFormat.PROMPTS, '{"prompt": "a\\ud83d b \\ud83d\\ude00"}\n')
    assert request is not None
    assert request.text == "a\ufffd b 😀"


BAD: list[tuple[TraceFormat, str | bytes, str]] = [
    (
        TraceFormat.MOONCAKE,
        '{"timestamp": 0}\n',
        "trace:1: input_length: must be a whole number of tokens, not missing",
    ),
    (
        TraceFormat.MOONCAKE,
        _jsonl({"timestamp": 0, "input_length": 1, "output_length": 1}) + '{"timestamp": 1, "inp',
        "trace:2: is not valid JSON: Unterminated string starting at at column 18",
    ),
    (
        TraceFormat.MOONCAKE,
        _jsonl({"timestamp": "0", "input_length": 1, "output_length": 1}),
        "trace:1: timestamp: must be a number, not '0'",
    ),
    (
        TraceFormat.MOONCAKE,
        '{"timestamp": NaN, "input_length": 1, "output_length": 1}',
        "trace:1: timestamp: must be a number, not nan",
    ),
    (
        TraceFormat.MOONCAKE,
        _jsonl({"timestamp": 0, "input_length": True, "output_length": 1}),
        "trace:1: input_length: must be a whole number of tokens, not True",
    ),
    (
        TraceFormat.MOONCAKE,
        _jsonl({"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": [1, "2"]}),
        "trace:1: hash_ids: must be a list of whole numbers from 0 on",
    ),
    (
        TraceFormat.MOONCAKE,
        _jsonl({"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": [-1]}),
        "trace:1: hash_ids: must be a list of whole numbers from 0 on",
    ),
    (TraceFormat.MOONCAKE, "[1]\n", "trace:1: must be a JSON object, such as {…}"),
    (TraceFormat.MOONCAKE, "1" * 5000, "trace:1: is no JSON that can be read: Exceeds the limit"),
    (TraceFormat.MOONCAKE, "[" * 200_000, "trace:1: is no JSON that can be read: "),
    (TraceFormat.AZURE, "a,b\n", "trace:1: has no column TIMESTAMP; its first line must name the columns"),
    (
        TraceFormat.AZURE,
        f"{AZURE}2023-11-16 18:15:46,374\n",
        "trace:2: has 2 columns, the header has 3",
    ),
    (
        TraceFormat.AZURE,
        f"{AZURE}2023-11-16 18:15:46,374,1\nyesterday,374,44\n",
        "trace:3: TIMESTAMP: must be a date with time such as 2023-11-16 18:17:03.9799600, not 'yesterday'",
    ),
    (
        TraceFormat.AZURE,
        f"{AZURE}2023-11-16 18:15:46,3e2,44\n",
        "trace:2: ContextTokens: must be a whole number of tokens, not '3e2'",
    ),
    (TraceFormat.AZURE, AZURE.encode() + b"\xff,1,1\n", "trace:2: is not UTF-8 text"),
    (TraceFormat.AZURE, f'{AZURE}"2023,1,1', "trace:2: is not valid CSV: unexpected end of data"),
    (
        TraceFormat.BURSTGPT,
        f"{BURSTGPT}inf,ChatGPT,472,18,490,API log\n",
        "trace:2: Timestamp: must be a number of seconds, not 'inf'",
    ),
    (
        TraceFormat.BURSTGPT,
        f"{BURSTGPT}5,ChatGPT,99999999,18,490,API log\n",
        "trace:2: Request tokens: must be a whole number of tokens, not '99999999'",
    ),
    (TraceFormat.SHAREGPT, '{"a": 1}', "trace: must be a JSON list of conversations"),
    (TraceFormat.SHAREGPT, '[\n{"id":\n', "trace:3: is not valid JSON: Expecting value at column 1"),
    (TraceFormat.SHAREGPT, b'[\n"\xff"]', "trace:2: is not UTF-8 text"),
    (TraceFormat.SHAREGPT, "[{}]", "trace: [0]: must hold a list named conversations (or messages)"),
    (
        TraceFormat.SHAREGPT,
        '[{"conversations": [{"from": "human"}]}]',
        "trace: [0].conversations[0]: must be a mapping of from and value (or role and content), both text",
    ),
    (TraceFormat.PROMPTS, '{"prompts": "a"}', "trace:1: prompts: unknown key; did you mean prompt?"),
    (TraceFormat.PROMPTS, '{"prompt": ""}', "trace:1: prompt: must be text, not ''"),
    (TraceFormat.PROMPTS, "{}", "trace:1: prompt: must be text, not missing"),
    (
        TraceFormat.PROMPTS,
        '{"prompt": "a", "timestamp": 1}\n{"prompt": "b"}',
        "trace:2: timestamp: must stand in every line or in none",
    ),
    (
        TraceFormat.PROMPTS,
        '{"prompt": "a", "output_tokens": -1}',
        "trace:1: output_tokens: must be a whole number of tokens, not -1",
    ),
]


@pytest.mark.parametrize(("kind", "text", "message"), BAD)
def test_a_problem_names_file_line_key_and_reason(kind: TraceFormat, text: str | bytes, message: str):
    with pytest.raises(InputError) as caught:
        _read(kind, text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("kind", [TraceFormat.MOONCAKE, TraceFormat.AZURE, TraceFormat.BURSTGPT, TraceFormat.PROMPTS])
def test_files_of_lines_are_read_line_by_line(kind: TraceFormat):
    lines: dict[TraceFormat, list[str]] = {
        TraceFormat.MOONCAKE: [_jsonl({"timestamp": 0, "input_length": 1, "output_length": 1})],
        TraceFormat.AZURE: [AZURE, "2023-11-16 18:15:46,1,1\n"],
        TraceFormat.BURSTGPT: [BURSTGPT, "1,x,1,1,2,y\n"],
        TraceFormat.PROMPTS: [_jsonl({"prompt": "a"})],
    }
    taken: list[str] = []

    def endless() -> Iterable[bytes]:
        *header, row = lines[kind]
        for line in (*header, *[row] * 1000):
            taken.append(line)
            yield line.encode()

    next(reader_of(kind)(endless(), "trace", 1))
    assert len(taken) <= 2


def test_every_format_has_a_reader():
    readers: set[Any] = {reader_of(kind) for kind in TraceFormat}
    assert len(readers) == len(TraceFormat)
