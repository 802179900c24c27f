"""Owns one request under way: what is sent, what was seen of it, and the verdict on how it ended. Does no I/O."""

import math
from dataclasses import dataclass, field

from tuner.domain.load import Outcome, RequestRecord
from tuner.load.sse import CompletionStream, one_line

OK_STATUS = 200
_DECIMALS = 6
"""Times are whole microseconds, as the store keeps them: what was found is what its stored records show later. A client
can't tell less, and they are short when written."""


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and what has been seen of it so far. Times are the client's clock; a time that never came is NaN.

    Its connection writes the sending and the events; whoever ends it calls `end` once.
    """

    payload: bytes
    input_tokens: int
    requested_tokens: int
    exact: bool
    """Whether an answer of another length than requested is a failure (EOS is ignored)."""
    session: int = -1
    step: int = 0
    label: str = ""
    scheduled_at: float = math.nan
    sent_at: float = math.nan
    finished_at: float = math.nan
    event_times: list[float] = field(default_factory=list[float])
    stream: CompletionStream = field(default_factory=CompletionStream)
    status: int = 0
    """HTTP status; 0 until it came."""
    body: bytes = b""
    """The body of an error response, as far as it is worth keeping."""
    outcome: Outcome | None = None
    error: str = ""

    def end(self, outcome: Outcome, error: str, now: float) -> None:
        """Record how and when it ended."""
        self.outcome, self.error, self.finished_at = outcome, one_line(error), now

    def record(self, zero: float) -> RequestRecord:
        """Return what was seen, its times relative to the load point's start.

        Raises:
            ValueError: it has not ended.
        """
        if self.outcome is None:
            raise ValueError("an exchange that has not ended has no record")
        usage = self.stream
        return RequestRecord(
            scheduled_at=round(self.scheduled_at - zero, _DECIMALS),
            sent_at=round(self.sent_at - zero, _DECIMALS),
            event_times=tuple(round(time - zero, _DECIMALS) for time in self.event_times),
            finished_at=round(self.finished_at - zero, _DECIMALS),
            outcome=self.outcome,
            input_tokens=self.input_tokens if usage.prompt_tokens is None else usage.prompt_tokens,
            output_tokens=usage.completion_tokens or 0,
            requested_tokens=self.requested_tokens,
            error=self.error,
            session=self.session,
            step=self.step,
            label=self.label,
        )


def judge(exchange: Exchange, *, complete: bool, why: str = "") -> tuple[Outcome, str]:
    """Return the outcome of an exchange whose response ended, and the evidence against it.

    Args:
        exchange: what was seen; its stream was told of the end.
        complete: whether the HTTP message ended properly, rather than its connection.
        why: what is known about an end that was not proper.
    """
    stream = exchange.stream
    if exchange.status not in (0, OK_STATUS):
        return Outcome.HTTP_ERROR, f"HTTP {exchange.status} {exchange.body.decode(errors='replace')}"
    if stream.error:
        return Outcome.STREAM_ERROR, stream.error
    if not complete and not stream.done:
        seen = f"after {len(exchange.event_times)} token events" if exchange.status else "before any answer"
        return Outcome.CUT, f"the connection closed {seen}{why and ': '}{why}"
    return _judge_length(exchange)


def _judge_length(exchange: Exchange) -> tuple[Outcome, str]:
    tokens, asked = exchange.stream.completion_tokens, exchange.requested_tokens
    if tokens is None:
        return Outcome.SHORT, f"the stream ended after {len(exchange.event_times)} token events without usage"
    if not exchange.event_times:
        return Outcome.SHORT, f"no event carried tokens, though usage says {tokens}"
    if tokens > asked or (exchange.exact and tokens != asked):
        return Outcome.SHORT, f"{tokens} tokens by usage, {asked} asked for"
    return Outcome.OK, ""
