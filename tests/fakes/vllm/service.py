"""The fake engine's scheduler and metrics: `max-num-seqs` slots, exact times, vLLM's metric names.

A request waits for a slot, then its prefill takes as many steps as `max-num-batched-tokens` makes of its prompt, then
every further token takes one step. A step takes a little longer for each request that runs beside it, so that capacity
and latency pull against each other as in the real engine.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from itertools import pairwise

TTFT_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0)
TPOT_BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0)


def setting(name: str, default: float) -> float:
    """Return a number from the environment: FAKE_VLLM_STEP_MS and the like."""
    return float(os.environ.get(f"FAKE_VLLM_{name}", default))


class Histogram:
    """A Prometheus histogram."""

    def __init__(self, name: str, buckets: tuple[float, ...]) -> None:
        """Start empty."""
        self._name, self._buckets = name, buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[next((i for i, bound in enumerate(self._buckets) if value <= bound), len(self._buckets))] += 1
        self._sum += value

    def render(self, labels: str) -> str:
        """Return it in Prometheus's text format."""
        lines = [f"# HELP {self._name} Histogram.", f"# TYPE {self._name} histogram"]
        total = 0
        for bound, count in zip((*map(str, self._buckets), "+Inf"), self._counts, strict=True):
            total += count
            lines.append(f'{self._name}_bucket{{{labels},le="{bound}"}} {float(total)}')
        lines += [f"{self._name}_count{{{labels}}} {float(total)}", f"{self._name}_sum{{{labels}}} {self._sum}"]
        return "\n".join(lines)


class Service:
    """Serves token times. All times are seconds."""

    def __init__(self, seqs: int, batched_tokens: int, kv_tokens: int, *, slowness: float = 1.0) -> None:
        """Take the limits of the scheduler; a step takes `slowness` times as long as asked for."""
        self._slots = asyncio.Semaphore(seqs)
        self._batched, self._kv_tokens = batched_tokens, kv_tokens
        self._step = slowness * setting("STEP_MS", 4.0) / 1e3
        self._step_each = slowness * setting("STEP_EACH_MS", 0.1) / 1e3
        self._growth = setting("GROWTH_MS", 0.0) / 1e3
        self.moving = asyncio.Event()
        """Cleared while the engine stands still: no token comes, and none is counted."""
        self.moving.set()
        self.running = self.waiting = self.held_tokens = 0
        self.requests = self.prompt_tokens = self.generation_tokens = 0
        self._ttft = Histogram("vllm:time_to_first_token_seconds", TTFT_BUCKETS)
        self._tpot = Histogram("vllm:request_time_per_output_token_seconds", TPOT_BUCKETS)
        self._itl = Histogram("vllm:inter_token_latency_seconds", TPOT_BUCKETS)

    async def tokens(self, prompt_tokens: int, output_tokens: int) -> AsyncIterator[int]:
        """Yield 1 … `output_tokens`, each when its token is due."""
        clock = asyncio.get_running_loop().time
        arrived = clock()
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        self.requests += 1
        self.held_tokens += prompt_tokens + output_tokens
        self.prompt_tokens += prompt_tokens
        times: list[float] = []
        try:
            due = clock() + -(-prompt_tokens // self._batched) * self._step_time()
            for number in range(1, output_tokens + 1):
                await asyncio.sleep(max(0.0, due - clock()))
                await self.moving.wait()
                times.append(clock())
                self.generation_tokens += 1
                yield number
                due += self._step_time()
        finally:
            self.running -= 1
            self.held_tokens -= prompt_tokens + output_tokens
            self._slots.release()
            self._observe(arrived, times)

    def _step_time(self) -> float:
        return self._step + self._step_each * self.running + self._growth * self.requests

    def _observe(self, arrived: float, times: list[float]) -> None:
        if times:
            self._ttft.observe(times[0] - arrived)
        for one, other in pairwise(times):
            self._itl.observe(other - one)
        if len(times) > 1:
            self._tpot.observe((times[-1] - times[0]) / (len(times) - 1))

    def render(self, model: str) -> str:
        """Return /metrics."""
        labels = f'engine="0",model_name="{model}"'
        gauges = {
            "vllm:num_requests_running": self.running,
            "vllm:num_requests_waiting": self.waiting,
            "vllm:kv_cache_usage_perc": min(1.0, self.held_tokens / max(1, self._kv_tokens)),
        }
        counters = {
            "vllm:num_preemptions_total": 0,
            "vllm:prefix_cache_queries_total": self.prompt_tokens,
            "vllm:prefix_cache_hits_total": 0,
            "vllm:prompt_tokens_total": self.prompt_tokens,
            "vllm:generation_tokens_total": self.generation_tokens,
        }
        lines = [_sample(name, "gauge", labels, value) for name, value in gauges.items()]
        lines += [_sample(name, "counter", labels, value) for name, value in counters.items()]
        lines += [histogram.render(labels) for histogram in (self._ttft, self._tpot, self._itl)]
        return "\n".join(lines) + "\n"


def _sample(name: str, kind: str, labels: str, value: float) -> str:
    return f"# HELP {name} {kind}.\n# TYPE {name} {kind}\n{name}{{{labels}}} {float(value)}"
