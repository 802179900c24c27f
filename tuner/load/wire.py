"""Owns the lines that a load worker writes: one JSON object each, so that no line grows with the load point."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tuner.domain.load import ClientHealth, LoadResult, Outcome, RequestRecord

API_KEY = "TUNER_LOAD_API_KEY"
"""The environment variable that carries the server's key to the worker."""
OVERTIME_S = 60.0
"""A job that has not ended so long after its deadline never will: preparing and handing over take seconds."""
LONGEST_LINE = 1 << 26
"""Bytes: room for one request of several million tokens."""


@dataclass(frozen=True, slots=True)
class Done:
    """Requests done so far."""

    done: int
    total: int


@dataclass(slots=True)
class Assembly:
    """Puts a result together again, line by line; `result` is None until its last line came."""

    records: list[RequestRecord] = field(default_factory=list[RequestRecord])
    result: LoadResult | None = None

    def take(self, line: bytes) -> Done | None:
        """Take one line; returns the progress where it tells of that.

        Raises:
            ValueError: not a line of a load worker.
        """
        match json.loads(line):
            case {"progress": [int(done), int(total)]}:
                return Done(done, total)
            case {"record": values}:
                self.records.append(_record(values))
            case {
                "started_at": float(started_at),
                "duration": float(duration),
                "client": client,
                "given_up": str(given_up),
            }:
                health = ClientHealth.model_validate(client)
                self.result = LoadResult(started_at, duration, tuple(self.records), health, given_up)
            case _:
                raise ValueError(f"not a line of a load worker: {line[:80]!r}")
        return None


def progress_line(done: int, total: int) -> bytes:
    """Return the line that tells of progress."""
    return _line({"progress": [done, total]})


def result_lines(result: LoadResult) -> Sequence[bytes]:
    """Return the lines of a result: one a record, in order, then the rest of it."""
    last = {
        "started_at": float(result.started_at),
        "duration": float(result.duration),
        "client": result.client.model_dump(),
        "given_up": result.given_up,
    }
    return [*(_line({"record": _values(record)}) for record in result.records), _line(last)]


def _values(record: RequestRecord) -> list[Any]:
    return [
        record.scheduled_at,
        record.sent_at,
        record.event_times,
        record.finished_at,
        record.outcome,
        record.input_tokens,
        record.output_tokens,
        record.requested_tokens,
        record.error,
        record.session,
        record.step,
        record.label,
    ]


def _record(values: list[Any]) -> RequestRecord:
    scheduled_at, sent_at, event_times, finished_at, outcome, *rest = values
    return RequestRecord(scheduled_at, sent_at, tuple(event_times), finished_at, Outcome(outcome), *rest)


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
