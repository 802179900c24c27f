"""Request records as compact bytes and back. Pure.

Format 1: the byte 1, then zlib over: the length of a JSON header (4 bytes, little endian), the header (numbers of
requests and events, the distinct outcomes, error texts and labels), then the columns. Times are whole microseconds,
each as the difference from the nearest earlier moment of its request: a token costs about two bytes. A column of
differences is stored as zigzag 64-bit integers, byte plane by byte plane: the high planes are zeros, which zlib reduces
to nothing.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
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

Ints = NDArray[np.int64]


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


def decode_records(data: bytes) -> tuple[RequestRecord, ...]:
    """Return the records that `encode_records` stored.

    Raises:
        ValueError: bytes of another format, or damaged ones.
    """
    if data[:1] != bytes([_VERSION]):
        raise ValueError(f"request records of format {data[:1].hex() or 'nothing'}; this tuner reads {_VERSION}")
    try:
        return _decode(zlib.decompress(data[1:]))
    except (zlib.error, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"damaged request records: {error}") from error


def _decode(body: bytes) -> tuple[RequestRecord, ...]:
    start = 4 + int.from_bytes(body[:4], "little")
    header = json.loads(body[4:start])
    requests, events = header["requests"], header["events"]
    columns = _columns(body[start:], [requests] * 15 + [events] * 2)
    outcome, error, inputs, outputs, requested, session, step, label, lengths = (next(columns) for _ in range(9))
    scheduled, sent, finished, event_times = _times(columns, lengths)
    ends = np.cumsum(lengths).tolist()
    return tuple(
        RequestRecord(
            scheduled_at=scheduled[i],
            sent_at=sent[i],
            event_times=tuple(event_times[end - length : end]),
            finished_at=finished[i],
            outcome=Outcome(header["outcomes"][outcome[i]]),
            input_tokens=int(inputs[i]),
            output_tokens=int(outputs[i]),
            requested_tokens=int(requested[i]),
            error=header["errors"][error[i]],
            session=int(session[i]),
            step=int(step[i]),
            label=header["labels"][label[i]],
        )
        for i, (end, length) in enumerate(zip(ends, lengths.tolist(), strict=True))
    )


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

    def seconds(self) -> list[float]:
        return np.where(self.absent != 0, np.nan, self.ticks / _MICROSECONDS).tolist()


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


def _times(columns: Iterator[Ints], lengths: Ints) -> tuple[list[float], list[float], list[float], list[float]]:
    scheduled = _Times(np.cumsum(next(columns)), next(columns))
    sent = _Times(scheduled.ticks + next(columns), next(columns))
    finished = _Times(sent.ticks + next(columns), next(columns))
    gaps, absent = next(columns), next(columns)
    if lengths.sum() != len(gaps):
        raise ValueError("the events do not add up")
    running = np.cumsum(gaps)
    first, has_events = _first_events(lengths)
    shift = sent.ticks[has_events] - (running[first] - gaps[first])
    events = _Times(running + np.repeat(shift, lengths[has_events]), absent)
    return scheduled.seconds(), sent.seconds(), finished.seconds(), events.seconds()


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


def _columns(data: bytes, lengths: Sequence[int]) -> Iterator[Ints]:
    if len(data) != sum(lengths) * _WIDTH:
        raise ValueError("the columns do not add up")
    offset = 0
    for length in lengths:
        planes = np.frombuffer(data, np.uint8, length * _WIDTH, offset).reshape(_WIDTH, -1)
        zigzag = np.ascontiguousarray(planes.T).view("<u8").reshape(-1)
        yield (zigzag >> 1).astype(np.int64) ^ -(zigzag & 1).astype(np.int64)
        offset += length * _WIDTH
