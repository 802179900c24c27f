"""A queue whose capacity can be found by long simulation: fixed slots, first come first served, Poisson arrivals.

The truth that the capacity search is held against. Time is virtual; the same seed gives the same requests.
"""

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.domain.load import Outcome, RequestRecord

Times = NDArray[np.float64]

_BISECTIONS = 14


@dataclass(frozen=True, slots=True)
class SlotQueue:
    """A server with room for `slots` requests at a time; the others wait in order of arrival."""

    slots: int
    service_s: float
    """Mean seconds in a slot."""
    exponential: bool = False
    """Exponential service times; else each takes the mean."""
    first_token_s: float = 0.02
    """From entering a slot to the first token."""

    @property
    def ceiling(self) -> float:
        """Requests per second above which the queue grows without end."""
        return self.slots / self.service_s

    def ttft(self, rate: float, requests: int, draw: np.random.Generator) -> tuple[Times, Times, Times]:
        """Return arrivals, TTFTs and departures of a run that starts empty."""
        arrivals = np.cumsum(draw.exponential(1 / rate, requests))
        if self.exponential:
            services = draw.exponential(self.service_s, requests)
            begun = _begun(arrivals, services, self.slots)
        else:
            services = np.full(requests, self.service_s)
            begun = _begun_fixed(arrivals, self.service_s, self.slots)
        return arrivals, begun - arrivals + self.first_token_s, begun + np.maximum(services, self.first_token_s)

    def records(self, rate: float, requests: int, seed: int) -> tuple[RequestRecord, ...]:
        """Return what a perfect client would have seen of a load point; two tokens each."""
        arrivals, ttft, ends = self.ttft(rate, requests, np.random.default_rng(seed))
        rows = zip(arrivals.tolist(), (arrivals + ttft).tolist(), ends.tolist(), strict=True)
        return tuple(RequestRecord(start, start, (first, end), end, Outcome.OK, 1, 2, 2) for start, first, end in rows)

    def crossing(self, limit_s: float, quantile: float, *, runs: int = 8, requests: int = 2_000_000) -> float:
        """Return the rate at which a TTFT percentile meets its limit: Erlang's C, or bisection over long runs.

        The same long runs are made at every rate; 8 times 2 million requests leave an error of 0.05 %.
        """
        low, high = 0.05 * self.ceiling, 0.999 * self.ceiling
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if self._exceeding(middle, limit_s, runs, requests) <= 1 - quantile else (low, middle)
            )
        return (low + high) / 2

    def _exceeding(self, rate: float, limit_s: float, runs: int, requests: int) -> float:
        """Return the share of requests whose TTFT exceeds a limit in the steady state."""
        if self.exponential:
            spare = self.slots - rate * self.service_s
            return erlang_c(self.slots, rate * self.service_s) * math.exp(
                -spare * (limit_s - self.first_token_s) / self.service_s
            )
        runs_of = (self.ttft(rate, requests, np.random.default_rng(10**6 + seed))[1] for seed in range(runs))
        return float(np.mean([np.mean(ttft[requests // 20 :] > limit_s) for ttft in runs_of]))


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that a request waits in M/M/c, by the recursion over Erlang's B."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    used = load / servers
    return blocked / (1 - used + used * blocked)


def _begun_fixed(arrivals: Times, service: float, slots: int) -> Times:
    """With equal service times, request n takes the slot of request n - slots: begun = max(arrival, that + service)."""
    rows = -(-arrivals.size // slots)
    padded = np.full(rows * slots, np.inf)
    padded[: arrivals.size] = arrivals
    table = padded.reshape(rows, slots)
    served = service * np.arange(rows, dtype=np.float64)[:, None]
    begun: Times = np.maximum.accumulate(table - served, axis=0) + served
    return begun.reshape(-1)[: arrivals.size]


def _begun(arrivals: Times, services: Times, slots: int) -> Times:
    free = [0.0] * slots
    begun = np.empty(arrivals.size)
    for number, (arrival, service) in enumerate(zip(arrivals.tolist(), services.tolist(), strict=True)):
        start = max(arrival, free[0])
        heapq.heapreplace(free, start + service)
        begun[number] = start
    return begun
