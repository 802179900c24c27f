"""Owns the question whether a load point can still meet its SLOs. Counts what is certain, and nothing else."""

import math
from collections.abc import Iterable, Sequence

from tuner.domain.load import GiveUp, Outcome
from tuner.domain.slo import Latency
from tuner.domain.units import format_ms
from tuner.load.exchange import Exchange


class Hopeless:
    """Counts the requests that have certainly exceeded a limit."""

    def __init__(self, rules: Sequence[GiveUp], whole: str) -> None:
        """Judge a load point by these rules; `whole` says in words what it is of, such as `1000 requests`."""
        self._rules = rules
        self._whole = whole
        self._ended = [0] * len(rules)

    def ended(self, exchange: Exchange) -> None:
        """Take a request that ended; a failed one has no latency to judge."""
        if exchange.outcome is Outcome.OK:
            for index, rule in enumerate(self._rules):
                self._ended[index] += _of_ended(rule.latency, exchange) > rule.limit

    def verdict(self, running: Iterable[Exchange], now: float) -> str:
        """Return why the load point is hopeless, in words; empty while it is not."""
        under_way = tuple(running) if self._rules else ()
        for rule, ended in zip(self._rules, self._ended, strict=True):
            found = ended + sum(_of_running(rule.latency, each, now) > rule.limit for each in under_way)
            if found >= rule.requests:
                return f"{found} of {self._whole} over {rule.latency} {format_ms(rule.limit)}"
        return ""


def _of_ended(latency: Latency, exchange: Exchange) -> float:
    first, last = exchange.event_times[0], exchange.event_times[-1]
    match latency:
        case Latency.TTFT:
            return first - exchange.scheduled_at
        case Latency.E2E:
            return last - exchange.scheduled_at
        case Latency.TPOT:
            tokens = exchange.stream.completion_tokens or 0
            return (last - first) / (tokens - 1) if tokens > 1 else 0.0
        case Latency.ITL:
            return 0.0  # judged by all gaps of a load point together


def _of_running(latency: Latency, exchange: Exchange, now: float) -> float:
    """Return what the latency of a request under way is at least; NaN, which exceeds nothing, before it was sent."""
    start = exchange.sent_at if math.isnan(exchange.scheduled_at) else exchange.scheduled_at
    events = exchange.event_times
    match latency:
        case Latency.TTFT:
            return (events[0] if events else now) - start
        case Latency.E2E:
            return (events[-1] if events else now) - start
        case Latency.TPOT:
            return (events[-1] - events[0]) / max(exchange.requested_tokens - 1, 1) if events else 0.0
        case Latency.ITL:
            return 0.0
