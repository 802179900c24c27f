"""Owns the question whether a load point can still meet its SLOs. Counts what is certain, and nothing else."""

from collections.abc import Iterable, Sequence

from tuner.domain.load import GiveUp, Outcome
from tuner.domain.slo import Latency
from tuner.domain.units import format_ms
from tuner.load.exchange import Exchange


class Hopeless:
    """Counts the requests that have certainly exceeded a limit."""

    def __init__(self, rules: Sequence[GiveUp], requests: int) -> None:
        """Judge a load point of so many requests by these rules."""
        self._rules = rules
        self._requests = requests
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
                return f"{found} of {self._requests} requests over {rule.latency} {format_ms(rule.limit)}"
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
    if latency is Latency.TTFT and exchange.event_times:
        return exchange.event_times[0] - exchange.scheduled_at
    return now - exchange.scheduled_at if latency in {Latency.TTFT, Latency.E2E} else 0.0
