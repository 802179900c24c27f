"""A load job and what comes back: request records, one per request, and how the client itself fared.

All times of a record are seconds on the machine's monotonic clock, relative to the start of its load point.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tuner.domain.arrivals import Arrivals
from tuner.domain.base import Frozen
from tuner.domain.slo import Latency
from tuner.domain.workload import Workload


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


class GiveUp(Frozen):
    """When a load point can no longer meet an SLO, so that the rest of it would only cost time.

    It is given up once `requests` of its requests have certainly exceeded `limit`, the ones still waiting included:
    what the rest would bring can't change the verdict.
    """

    latency: Latency
    limit: Annotated[float, Field(gt=0)]
    """Seconds."""
    requests: Annotated[int, Field(ge=1)]


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
    """How many requests to send; of a workload of several calls, how many user requests."""
    deadline_s: Annotated[float, Field(gt=0)]
    """Requests still running this long after the start are cancelled, and counted as failed."""
    send_for_s: Annotated[float | None, Field(gt=0)] = None
    """No request (of a workload of several calls: no user request) begins later than this after the start; what has
    begun goes on to its end. Those that never began leave no record."""
    silence_s: Annotated[float | None, Field(gt=0)] = None
    """Requests still running are cancelled, and counted as failed, once nothing came from the server for this long."""
    give_up: tuple[GiveUp, ...] = ()
    """Any of them ends the load point early."""
    seed: int
    """Seeds arrivals, lengths and prompts; another load point must have another seed."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What the client saw of one request. A time that never came is NaN."""

    scheduled_at: float
    """The intended start: the schedule's under open loop, the moment of sending under closed loop; of a session's later
    calls under either, the pause after the end of the call before."""
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
    session: int = -1
    """Number of the user request or conversation it belongs to; -1 where each request stands for itself."""
    step: int = 0
    """Its position within its session, from 0."""
    label: str = ""
    """Its class of request, or its step of a chain; empty where the workload names none."""


class ClientHealth(Frozen):
    """How the load generator itself fared during a load point."""

    cpu_s: float
    """CPU seconds of the load generator's process."""
    cpu_share: float
    """`cpu_s` over the load point's duration: 1.0 is one core."""
    lateness_mean: float = 0.0
    """Seconds by which requests left later than scheduled; 0 under closed loop, as the next two."""
    lateness_p99: float
    lateness_max: float = 0.0
    loop_lag_mean: float = 0.0
    """How late a periodic timer on the client's event loop was, seconds: what an event that arrives at any moment has
    to wait before its time is read. This is the client's own error of every latency."""
    loop_lag_p99: float = 0.0
    loop_lag_max: float
    reads: int = 0
    """How often the event loop read from a connection."""
    events: int = 0
    """Stream events that carried tokens."""

    @property
    def events_per_read(self) -> float | None:
        """Events that share one time, on average; None without a read. Above 1 the client, or the server, lumps."""
        return self.events / self.reads if self.reads else None


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one load job brought back."""

    started_at: float
    """The load point's zero, on the machine's monotonic clock."""
    duration: float
    """Seconds from the start to the last request's end."""
    records: tuple[RequestRecord, ...]
    client: ClientHealth
    given_up: str = ""
    """Why it ended early, in words; empty when it ran to its end."""
