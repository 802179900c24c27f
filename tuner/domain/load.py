"""A load job and what comes back: request records, one per request, and how the client itself fared.

All times of a record are seconds on the machine's monotonic clock, relative to the start of its load point.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tuner.domain.base import Frozen
from tuner.domain.workload import Arrivals, Workload


class Outcome(StrEnum):
    """How a request ended. Everything but `ok` is a failed request."""

    OK = "ok"
    HTTP_ERROR = "http_error"
    """A status other than 200."""
    STREAM_ERROR = "stream_error"
    """An error chunk inside a stream that began well."""
    SHORT = "short"
    """The stream ended well, with fewer or more tokens than asked for, or without `usage`."""
    CUT = "cut"
    """The connection closed before the stream ended."""
    REFUSED = "refused"
    """No connection could be made."""
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    """The load point ended before the request did."""


class LoadJob(Frozen):
    """Everything the load generator needs for one load point."""

    url: str
    """Base URL of the server, such as `http://127.0.0.1:8123`."""
    model: str
    """The served model name."""
    vocabulary: Annotated[int, Field(ge=2)]
    """Prompt token ids are drawn from [first_token, vocabulary)."""
    first_token: Annotated[int, Field(ge=0)] = 0
    workload: Workload
    arrivals: Arrivals
    requests: Annotated[int, Field(ge=1)]
    """How many requests to send."""
    deadline_s: Annotated[float, Field(gt=0)]
    """Requests still running this long after the start are cancelled, and counted as failed."""
    seed: int
    """Seeds arrivals, lengths and prompts; another load point must have another seed."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What the client saw of one request. A time that never came is NaN."""

    scheduled_at: float
    """The intended start: the schedule's under open loop, the moment of sending under closed loop."""
    sent_at: float
    """When the request was written to its connection."""
    event_times: tuple[float, ...]
    """Arrival time of every stream event that carried tokens."""
    finished_at: float
    """When the stream, or the attempt, ended."""
    outcome: Outcome
    input_tokens: int
    """Prompt tokens: the server's `usage` where it came, else what was asked for."""
    output_tokens: int
    """Completion tokens by the server's `usage`; 0 where none came."""
    requested_tokens: int
    """Completion tokens asked for."""
    error: str = ""
    """One line of evidence for an outcome that is not `ok`."""


class ClientHealth(Frozen):
    """How the load generator itself fared during a load point."""

    cpu_s: float
    """CPU seconds of the load generator's process."""
    cpu_share: float
    """`cpu_s` over the load point's duration: 1.0 is one core."""
    lateness_p99: float
    """Seconds by which requests left later than scheduled; 0 under closed loop."""
    loop_lag_max: float
    """The longest delay of a periodic timer on the client's event loop, seconds."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one load job brought back."""

    started_at: float
    """The load point's zero, on the machine's monotonic clock."""
    duration: float
    """Seconds from the start to the last request's end."""
    records: tuple[RequestRecord, ...]
    client: ClientHealth
