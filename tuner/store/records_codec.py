"""Request records as compact bytes and back. Pure.

Format 1: the byte 1, then zlib over: the length of a JSON header (4 bytes, little endian), the header (numbers of
requests and events, the distinct outcomes, error texts and labels), then the columns. Times are whole microseconds,
each as the difference from the nearest earlier moment of its request: a token costs about two bytes. A column of
differences is stored as zigzag 64-bit integers, byte plane by byte plane: the high planes are zeros, which zlib reduces
to nothing.
"""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tuner.domain.load import Outcome, RequestRecord

_VERSION = 1
_MICROSECONDS = 1e6
_WIDTH = 8
_LONGEST = 2**52 / _MICROSECONDS
"""Seconds. Beyond, a double no longer holds whole microseconds."""

_COLUMNS, _EVENT_COLUMNS = 15, 2
"""How many columns there are of requests and of events."""

Ints = NDArray[np.int64]
Seconds = NDArray[np.float64]


def encode_records(records: Sequence[RequestRecord]) -> bytes:
    """Return the records as bytes, times rounded to whole microseconds.

    Raises:
        ValueError: a time that is infinite or longer than a century.
    """
    outcomes, outcome_codes = _coded(record.outcome.value for record in records)
    errors, error_codes = _coded(record.error for record in records)
    labels, label_codes = _coded(record.label for record in records)
    events = _Times.of(list(chain.from_iterable(record.event_times for record in records)))
    header = {"requests": len(records), "events": len(events.ticks), "outcomes": outcomes, "errors": errors}
    header["labels"] = labels
    lengths = _ints(len(record.event_times) for record in records)
    columns = [
        outcome_codes,
        error_codes,
        _ints(record.input_tokens for record in records),
        _ints(record.output_tokens for record in records),
        _ints(record.requested_tokens for record in records),
        _ints(record.session for record in records),
        _ints(record.step for record in records),
        label_codes,
        lengths,
        *_time_columns(records, lengths, events),
    ]
    text = json.dumps(header).encode()
    body = len(text).to_bytes(4, "little") + text + b"".join(map(_pack, columns))
    return bytes([_VERSION]) + zlib.compress(body)


@dataclass(frozen=True, slots=True, eq=False)
class RecordColumns:
    """The records of one load point as columns, shape (requests,) but for the events'. Times are seconds or NaN."""

    scheduled_at: Seconds
    sent_at: Seconds
    finished_at: Seconds
    event_counts: Ints
    event_times: Seconds
    """Of all requests, one's after the other's, shape (events,)."""
    input_tokens: Ints
    output_tokens: Ints
    requested_tokens: Ints
    session: Ints
    step: Ints
    outcomes: "Coded"
    errors: "Coded"
    labels: "Coded"


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of few distinct texts: each request's position among them."""

    texts: tuple[str, ...]
    codes: Ints

    def are(self, text: str) -> NDArray[np.bool_]:
        """Return which requests have this text."""
        code = self.texts.index(text) if text in self.texts else -1
        return np.equal(self.codes, code, dtype=np.bool_)

    def of(self, request: int) -> str:
        """Return the text of one request."""
        return self.texts[int(self.codes[request])]


def decode_records(data: bytes) -> tuple[RequestRecord, ...]:
    """Return the records that `encode_records` stored.

    Raises:
        ValueError: bytes of another format, or damaged ones.
    """
    columns = decode_columns(data)
    try:
        return _records(columns)
    except (ValueError, LookupError) as error:
        raise ValueError(f"damaged request records: {error}") from error


def decode_columns(data: bytes) -> RecordColumns:
    """Return the records that `encode_records` stored as columns, without an object for each.

    Raises:
        ValueError: bytes of another format, or damaged ones.
    """
    if data[:1] != bytes([_VERSION]):
        raise ValueError(f"request records of format {data[:1].hex() or 'nothing'}; this tuner reads {_VERSION}")
    try:
        return _decode(zlib.decompress(data[1:]))
    except (zlib.error, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"damaged request records: {error}") from error


def _records(columns: RecordColumns) -> tuple[RequestRecord, ...]:
    scheduled, sent, finished = (
        times.tolist() for times in (columns.scheduled_at, columns.sent_at, columns.finished_at)
    )
    events, counts = columns.event_times.tolist(), columns.event_counts
    ends = np.cumsum(counts).tolist()
    return tuple(
        RequestRecord(
            scheduled_at=scheduled[i],
            sent_at=sent[i],
            event_times=tuple(events[end - count : end]),
            finished_at=finished[i],
            outcome=Outcome(columns.outcomes.of(i)),
            input_tokens=int(columns.input_tokens[i]),
            output_tokens=int(columns.output_tokens[i]),
            requested_tokens=int(columns.requested_tokens[i]),
            error=columns.errors.of(i),
            session=int(columns.session[i]),
            step=int(columns.step[i]),
            label=columns.labels.of(i),
        )
        for i, (end, count) in enumerate(zip(ends, counts.tolist(), strict=True))
    )


def _decode(body: bytes) -> RecordColumns:
    start = 4 + int.from_bytes(body[:4], "little")
    header = json.loads(body[4:start])
    requests, events = header["requests"], header["events"]
    if len(body) - start != (_COLUMNS * requests + _EVENT_COLUMNS * events) * _WIDTH:
        raise ValueError("the columns do not add up")
    columns = _unpack(body, start, requests, _COLUMNS)
    event_columns = _unpack(body, start + _COLUMNS * requests * _WIDTH, events, _EVENT_COLUMNS)
    outcome, error, inputs, outputs, requested, session, step, label, counts = columns[:9]
    scheduled, sent, finished, event_times = _times(columns[9:], event_columns, counts)
    return RecordColumns(
        scheduled_at=scheduled,
        sent_at=sent,
        finished_at=finished,
        event_counts=counts,
        event_times=event_times,
        input_tokens=inputs,
        output_tokens=outputs,
        requested_tokens=requested,
        session=session,
        step=step,
        outcomes=_coded_of(header["outcomes"], outcome),
        errors=_coded_of(header["errors"], error),
        labels=_coded_of(header["labels"], label),
    )


def _coded_of(texts: Sequence[str], codes: Ints) -> Coded:
    if codes.size and (codes.min() < 0 or codes.max() >= len(texts)):
        raise ValueError("a text is missing")
    return Coded(tuple(texts), codes)


@dataclass(frozen=True, slots=True)
class _Times:
    """Moments in whole microseconds; `absent` is 1 where the moment never came and its tick is 0."""

    ticks: Ints
    absent: Ints

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "_Times":
        values = np.asarray(seconds, dtype=np.float64)
        absent = np.isnan(values)
        known = np.where(absent, 0.0, values)
        if np.abs(known).max(initial=0.0) > _LONGEST:
            raise ValueError("a request record holds a time that is infinite or longer than a century")
        return cls(np.rint(known * _MICROSECONDS).astype(np.int64), absent.astype(np.int64))

    def seconds(self) -> Seconds:
        return np.where(self.absent != 0, np.nan, self.ticks / _MICROSECONDS)


def _time_columns(records: Sequence[RequestRecord], lengths: Ints, events: _Times) -> list[Ints]:
    scheduled = _Times.of([record.scheduled_at for record in records])
    sent = _Times.of([record.sent_at for record in records])
    finished = _Times.of([record.finished_at for record in records])
    gaps = np.diff(events.ticks, prepend=0)
    first, has_events = _first_events(lengths)
    gaps[first] = events.ticks[first] - sent.ticks[has_events]
    return [
        np.diff(scheduled.ticks, prepend=0),
        scheduled.absent,
        sent.ticks - scheduled.ticks,
        sent.absent,
        finished.ticks - sent.ticks,
        finished.absent,
        gaps,
        events.absent,
    ]


def _times(columns: Ints, events: Ints, lengths: Ints) -> tuple[Seconds, Seconds, Seconds, Seconds]:
    """Return when requests were scheduled, sent and finished, and when events came."""
    scheduled = _Times(np.cumsum(columns[0]), columns[1])
    sent = _Times(scheduled.ticks + columns[2], columns[3])
    finished = _Times(sent.ticks + columns[4], columns[5])
    gaps, absent = events
    if lengths.sum() != len(gaps):
        raise ValueError("the events do not add up")
    running = np.cumsum(gaps)
    first, has_events = _first_events(lengths)
    shift = sent.ticks[has_events] - (running[first] - gaps[first])
    came = _Times(running + np.repeat(shift, lengths[has_events]), absent)
    return scheduled.seconds(), sent.seconds(), finished.seconds(), came.seconds()


def _first_events(lengths: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Return where each request's first event stands among all events, and which requests have one."""
    has_events = lengths > 0
    return (np.cumsum(lengths) - lengths)[has_events], has_events


def _coded(texts: Iterable[str]) -> tuple[list[str], Ints]:
    codes: dict[str, int] = {}
    column = _ints(codes.setdefault(text, len(codes)) for text in texts)
    return list(codes), column


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def _pack(column: Ints) -> bytes:
    zigzag = ((column << 1) ^ (column >> 63)).astype("<u8")
    return zigzag.view(np.uint8).reshape(-1, _WIDTH).T.tobytes()


def _unpack(data: bytes, start: int, length: int, columns: int) -> Ints:
    """Return columns of one length that lie one after the other, shape (columns, length)."""
    planes = np.frombuffer(data, np.uint8, columns * length * _WIDTH, start).reshape(columns, _WIDTH, length)
    zigzag = np.ascontiguousarray(planes.transpose(0, 2, 1)).view("<u8").reshape(columns, length)
    return (zigzag >> np.uint64(1)).astype(np.int64) ^ -(zigzag & np.uint64(1)).astype(np.int64)
