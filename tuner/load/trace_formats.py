"""Owns the formats of recorded traces: the bytes of a file to requests, one after the other. Opens no file.

Every reader yields a request, or None for one that can't be sent again (no prompt, or no answer, such as a failed one).
Files of a line per request are never held whole. Errors name file, line, key and reason.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from tuner.domain.errors import InputError
from tuner.domain.problems import nearest
from tuner.domain.workload import TraceFormat

CHARACTERS_PER_TOKEN = 4
"""Of the text of an answer: how long a ShareGPT answer is, in tokens, is estimated from it."""
_MOST_TOKENS = 10_000_000
_MOST_SECONDS = 1e12
_COUNT = re.compile(r"[0-9]{1,8}")
_USERS = frozenset({"human", "user"})
_MODELS = frozenset({"gpt", "assistant", "chatgpt", "bing", "bard", "model"})


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One recorded request. Exactly one of `input_tokens` and `text` is set."""

    at: float | None
    """Seconds from the trace's first request; None where the format knows no time."""
    input_tokens: int | None
    output_tokens: int
    text: str | None = None
    prefix_blocks: tuple[int, ...] = ()
    """Mooncake's ids of the prompt's blocks of 512 tokens: equal leading ids are an equal beginning."""


Requests = Iterator[TraceRequest | None]
Reader = Callable[[Iterable[bytes], str, int], Requests]
"""Takes a file's lines, its name for errors, and the output tokens where the file gives none."""


def reader_of(kind: TraceFormat) -> Reader:
    """Return the reader of a format; a request's `at` is in seconds from any zero."""
    return _READERS[kind]


def _mooncake(lines: Iterable[bytes], source: str, _: int) -> Requests:
    for where, row in _json_lines(lines, source):
        prompt = _json_tokens(row, "input_length", where)
        answer = _json_tokens(row, "output_length", where)
        at = _json_seconds(row, "timestamp", where) / 1e3
        blocks = row.get("hash_ids", [])
        if not isinstance(blocks, list) or not all(_is_id(block) for block in cast("list[Any]", blocks)):
            _fail(where, "hash_ids", "must be a list of whole numbers from 0 on")
        yield TraceRequest(at, prompt, answer, None, tuple(cast("list[int]", blocks))) if prompt and answer else None


def _is_id(value: Any) -> bool:  # noqa: ANN401  # whatever the file holds
    return type(value) is int and value >= 0


def _azure(lines: Iterable[bytes], source: str, _: int) -> Requests:
    wanted = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
    for where, (moment, context, generated) in _csv_rows(lines, source, wanted):
        at = _moment(moment, where, wanted[0])
        prompt, answer = _csv_tokens(context, where, wanted[1]), _csv_tokens(generated, where, wanted[2])
        yield TraceRequest(at, prompt, answer) if prompt and answer else None


def _burstgpt(lines: Iterable[bytes], source: str, _: int) -> Requests:
    wanted = ("Timestamp", "Request tokens", "Response tokens")
    for where, (moment, request, response) in _csv_rows(lines, source, wanted):
        at = _csv_seconds(moment, where, wanted[0])
        prompt, answer = _csv_tokens(request, where, wanted[1]), _csv_tokens(response, where, wanted[2])
        yield TraceRequest(at, prompt, answer) if prompt and answer else None


def _sharegpt(lines: Iterable[bytes], source: str, _: int) -> Requests:
    entries = _json(b"".join(lines), source, lines_before=0)
    if not isinstance(entries, list):
        raise InputError("must be a JSON list of conversations", where=source)
    for index, entry in enumerate(cast("list[Any]", entries)):
        turns = _turns(entry, f"{source}: [{index}]")
        first = next((place for place, (role, _) in enumerate(turns) if role in _USERS), len(turns))
        question, answer = ([*turns[first : first + 2], ("", ""), ("", "")])[:2]
        is_whole = question[1].strip() and answer[1].strip() and answer[0] in _MODELS
        tokens = max(1, round(len(answer[1]) / CHARACTERS_PER_TOKEN))
        yield TraceRequest(None, None, tokens, _sendable(question[1])) if is_whole else None


def _turns(entry: Any, where: str) -> list[tuple[str, str]]:  # noqa: ANN401  # whatever the file holds
    """Return who said what, in order."""
    fields = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    key = "conversations" if "conversations" in fields else "messages"
    turns = fields.get(key)
    if not isinstance(turns, list):
        raise InputError("must hold a list named conversations (or messages)", where=where)
    return [_turn(turn, f"{where}.{key}[{index}]") for index, turn in enumerate(cast("list[Any]", turns))]


def _turn(turn: Any, where: str) -> tuple[str, str]:  # noqa: ANN401
    fields = cast("dict[str, Any]", turn) if isinstance(turn, dict) else {}
    role = fields.get("from", fields.get("role"))
    said = fields.get("value", fields.get("content"))
    if not isinstance(role, str) or not isinstance(said, str):
        raise InputError("must be a mapping of from and value (or role and content), both text", where=where)
    return role, said


def _prompts(lines: Iterable[bytes], source: str, output_tokens: int) -> Requests:
    known = ("prompt", "output_tokens", "timestamp")
    is_timed: bool | None = None
    for where, row in _json_lines(lines, source):
        odd = next((key for key in row if key not in known), None)
        if odd is not None:
            _fail(where, odd, f"unknown key; {nearest(odd, known)}")
        if is_timed is not None and is_timed != ("timestamp" in row):
            _fail(where, "timestamp", "must stand in every line or in none")
        is_timed = "timestamp" in row
        text = row.get("prompt")
        if not isinstance(text, str) or not text:
            _fail(where, "prompt", f"must be text, not {_shown(text)}")
        at = _json_seconds(row, "timestamp", where) if is_timed else None
        answer = _json_tokens(row, "output_tokens", where) if "output_tokens" in row else output_tokens
        yield TraceRequest(at, None, answer, _sendable(text)) if answer else None


_READERS: dict[TraceFormat, Reader] = {
    TraceFormat.MOONCAKE: _mooncake,
    TraceFormat.AZURE: _azure,
    TraceFormat.BURSTGPT: _burstgpt,
    TraceFormat.SHAREGPT: _sharegpt,
    TraceFormat.PROMPTS: _prompts,
}


def _text_lines(lines: Iterable[bytes], source: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError("is not UTF-8 text", where=f"{source}:{number}") from error


def _json_lines(lines: Iterable[bytes], source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each line stands and the object it holds; empty lines are passed over."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _json(line, source, lines_before=number - 1)
        if not isinstance(row, dict):
            raise InputError("must be a JSON object, such as {…}", where=f"{source}:{number}")
        yield f"{source}:{number}", cast("dict[str, Any]", row)


def _json(content: bytes, source: str, *, lines_before: int) -> Any:  # noqa: ANN401  # whatever the file holds
    try:
        return json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        where = f"{source}:{lines_before + error.lineno}"
        raise InputError(f"is not valid JSON: {error.msg} at column {error.colno}", where=where) from error
    except UnicodeDecodeError as error:
        line = lines_before + content.count(b"\n", 0, error.start) + 1
        raise InputError("is not UTF-8 text", where=f"{source}:{line}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or thousands of brackets
        raise InputError(f"is no JSON that can be read: {error}", where=f"{source}:{lines_before + 1}") from error


def _csv_rows(lines: Iterable[bytes], source: str, wanted: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield where each row stands and its values in the columns wanted, in that order; other columns don't matter."""
    rows = csv.reader(_text_lines(lines, source), strict=True)
    places: list[int] = []
    columns = 0
    try:
        for row in rows:
            where = f"{source}:{rows.line_num}"
            if not places:
                places, columns = _places(row, wanted, where), len(row)
            elif len(row) == columns:
                yield where, [row[place] for place in places]
            elif row:
                raise InputError(f"has {len(row)} columns, the header has {columns}", where=where)
    except csv.Error as error:
        raise InputError(f"is not valid CSV: {error}", where=f"{source}:{rows.line_num}") from error


def _places(header: Sequence[str], wanted: Sequence[str], where: str) -> list[int]:
    names = [name.strip().lower() for name in header]
    for column in wanted:
        if column.lower() not in names:
            raise InputError(f"has no column {column}; its first line must name the columns", where=where)
    return [names.index(column.lower()) for column in wanted]


def _csv_tokens(text: str, where: str, key: str) -> int:
    if not _COUNT.fullmatch(text.strip()) or int(text) > _MOST_TOKENS:
        _fail(where, key, f"must be a whole number of tokens, not {_shown(text)}")
    return int(text)


def _csv_seconds(text: str, where: str, key: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not abs(seconds) <= _MOST_SECONDS:
        _fail(where, key, f"must be a number of seconds, not {_shown(text)}")
    return seconds


def _moment(text: str, where: str, key: str) -> float:
    """Return seconds since 1970 of a date with time; one without a zone is taken as UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        _fail(where, key, f"must be a date with time such as 2023-11-16 18:17:03.9799600, not {_shown(text)}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _json_tokens(row: dict[str, Any], key: str, where: str) -> int:
    value = row.get(key)
    if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
        _fail(where, key, f"must be a whole number of tokens, not {_shown(value)}")
    return value


def _json_seconds(row: dict[str, Any], key: str, where: str) -> float:
    value = row.get(key)
    if type(value) not in (int, float) or not abs(cast("float", value)) <= _MOST_SECONDS:
        _fail(where, key, f"must be a number, not {_shown(value)}")
    return float(cast("float", value))


def _sendable(text: str) -> str:
    """Return the text with halves of surrogate pairs replaced: UTF-8, and so a request, can't hold them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _shown(value: Any) -> str:  # noqa: ANN401
    return "missing" if value is None else repr(value)[:60]


def _fail(where: str, key: str, reason: str) -> NoReturn:
    raise InputError(f"{key}: {reason}", where=where)
