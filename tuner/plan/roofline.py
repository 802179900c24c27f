"""Owns speed: floors from the device's figures, and the rate to expect between two sets of efficiencies. Pure.

Prefill is bound by compute: 2 operations for each active parameter and token, and attention's own. Decode is bound by
memory: each step reads the weights once and every sequence's cache. Real engines reach a part of both; which part, is
assumed (`SLOW`, `QUICK`), so the rate is a range.

With b sequences running, each asking for o tokens, a request takes the GPUs for P + o s(b) / b seconds: its prompt, and
its share of o steps of s(b). So the rate is 1 over that, and a token takes s(b) + b P / o, because b P of prompts come
between the o tokens of an answer.
"""

from dataclasses import dataclass
from functools import cached_property
from math import inf

from tuner.domain.device import Device
from tuner.domain.model import (
    ChunkedAttention,
    FullAttention,
    LatentAttention,
    ModelShape,
    SlidingAttention,
    StateSpace,
    Weights,
    WeightUse,
)
from tuner.domain.plan import Demand
from tuner.domain.slo import Latency
from tuner.plan.defaults import Engine
from tuner.plan.kv import CacheLayout

_EIGHT_BIT_METHODS = ("fp8", "w8a8")
_MIXED_METHODS = frozenset({"compressed-tensors", "modelopt"})
_ONE_BYTE = (0.9, 1.25)
"""Bytes of an 8-bit weight, scales included."""


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What an engine makes of a device."""

    compute: float
    """Share of the arithmetic rate while it reads prompts."""
    bandwidth: float
    """Share of the memory bandwidth while it writes."""
    step_s: float
    """Seconds that a step takes beside: scheduling and launching."""
    sequence_s: float
    """Seconds that each sequence adds to a step: its bookkeeping, and its token's way to the client."""
    cpu_sequence_s: float
    """The same for vLLM's CPU engine, whose attention and sampling go one by one."""
    reduce_s: float
    """Seconds of one sum over the GPUs of a tensor-parallel group, however small."""
    link: float
    """Bytes per second between those GPUs: PCIe at worst, NVLink at best."""


SLOW = Efficiency(
    compute=0.30, bandwidth=0.45, step_s=4e-3, sequence_s=15e-6, cpu_sequence_s=3e-3, reduce_s=30e-6, link=5e10
)
QUICK = Efficiency(
    compute=0.75, bandwidth=0.85, step_s=5e-4, sequence_s=2e-6, cpu_sequence_s=1e-3, reduce_s=8e-6, link=4e11
)
LIKELY = Efficiency(
    compute=0.50, bandwidth=0.60, step_s=1.5e-3, sequence_s=6e-6, cpu_sequence_s=2e-3, reduce_s=15e-6, link=1.5e11
)
"""Between the two, for starting values."""
_PERFECT = Efficiency(
    compute=1.0, bandwidth=1.0, step_s=0.0, sequence_s=0.0, cpu_sequence_s=0.0, reduce_s=0.0, link=inf
)
_ACTIVATION_BYTES = 2
_SUMS_PER_LAYER = 2
"""After attention and after the feed-forward layer."""
_VOCABULARY = frozenset({WeightUse.EMBEDDING, WeightUse.HEAD})


@dataclass(frozen=True)
class Speed:
    """A model on the GPUs of one replica, serving requests of the mean length."""

    model: ModelShape
    device: Device
    engine: Engine
    layout: CacheLayout
    demand: Demand

    @cached_property
    def prefill_flops(self) -> float:
        """Operations of the mean prompt; the head's for its last token alone."""
        prompt = self.demand.input_tokens
        head = sum(group.parameters for group in self.model.weights if group.use is WeightUse.HEAD)
        head = head or sum(group.parameters for group in self.model.weights if group.use is WeightUse.EMBEDDING)
        body = self.body_parameters
        return 2 * (body * prompt + head) + attention_flops(self.model, prompt)

    @cached_property
    def body_parameters(self) -> float:
        """Parameters that every token is multiplied with, the head's apart."""
        return sum(group.parameters * group.read for group in self.model.weights if group.use not in _VOCABULARY)

    @cached_property
    def flops(self) -> float | None:
        """Operations per second of all the GPUs; None where the device's are not known."""
        rate = matrix_rate(self.model, self.device)
        return None if rate is None else rate * self.engine.gpus

    def prefill_s(self, efficiency: Efficiency | None = None) -> float | None:
        """Seconds of all the GPUs for the mean prompt; the floor without an efficiency, None without a rate."""
        share = efficiency or _PERFECT
        if self.flops is None:
            return None
        exchanged = self.demand.input_tokens * self._sums() * self.model.hidden_size * _ACTIVATION_BYTES
        stages = self.engine.pipeline_parallel
        return self.prefill_flops / (self.flops * share.compute) + exchanged / (share.link * stages)

    def _sums(self) -> int:
        """Sums over a tensor-parallel group that one pass through the model takes."""
        return _SUMS_PER_LAYER * len(self.model.layers) if self.engine.tensor_parallel > 1 else 0

    def step_bytes(self, batch: float) -> float:
        """Bytes that one step of so many sequences reads on all the GPUs together."""
        return sum(_read_bytes(group, self.model, batch) for group in self.model.weights) + batch * self.cache_bytes

    @cached_property
    def cache_bytes(self) -> float:
        """Bytes of a sequence's cache that a step reads, at half of its answer."""
        tokens = self.demand.input_tokens + self.demand.output_tokens / 2
        blocks = self.layout.sequence_blocks(max(1, round(tokens)))
        return blocks * self.layout.block_bytes

    def step_s(self, batch: float, efficiency: Efficiency | None = None) -> float:
        """Seconds of the GPUs for one step of so many sequences; the floor without an efficiency."""
        share = efficiency or _PERFECT
        reading = self.step_bytes(batch) / (self.device.bandwidth * self.engine.gpus * share.bandwidth)
        multiplying = 0.0
        if self.flops is not None:
            multiplying = 2 * self.model.active_parameters * batch / (self.flops * share.compute)
        each = share.cpu_sequence_s if self.device.vendor == "cpu" else share.sequence_s
        sums = self._sums() / self.engine.pipeline_parallel * share.reduce_s
        return max(reading, multiplying) + share.step_s + batch * each + sums

    def token_s(self, batch: float, efficiency: Efficiency) -> float:
        """Seconds between a sequence's tokens with so many running; a pipeline's stages come one after the other."""
        stages = self.engine.pipeline_parallel
        prompt = self.prefill_s(efficiency) or 0.0
        return self.step_s(max(batch / stages, 1), efficiency) * stages + batch * prompt / self.demand.output_tokens

    def rate(self, batch: float, efficiency: Efficiency) -> float:
        """Requests per second with so many running."""
        return batch / (self.demand.output_tokens * self.token_s(batch, efficiency))

    def first_token_s(self, efficiency: Efficiency) -> float:
        """Seconds to a first token of an unhindered prompt: its own steps and one that is on its way."""
        return (self.prefill_s(efficiency) or 0.0) + self.step_s(1, efficiency)


def matrix_rate(model: ModelShape, device: Device) -> float | None:
    """Return the device's operations per second for the model's matrices: 8-bit ones where both have them."""
    return device.fp8_flops or device.bf16_flops if _multiplies_in_8_bits(model) else device.bf16_flops


def _multiplies_in_8_bits(model: ModelShape) -> bool:
    """Whether weights and activations are 8-bit; formats that cover several kinds tell it by the size of a weight."""
    method = model.quantization or ""
    if any(name in method for name in _EIGHT_BIT_METHODS):
        return True
    matrices = [group for group in model.weights if group.use in {WeightUse.MLP, WeightUse.EXPERTS}]
    parameters = sum(group.parameters for group in matrices)
    size = sum(group.bytes for group in matrices) / max(parameters, 1)
    return method in _MIXED_METHODS and _ONE_BYTE[0] < size < _ONE_BYTE[1]


def attention_flops(model: ModelShape, prompt: float) -> float:
    """Return the operations of attention over a prompt: scores and their sum over values, the causal half.

    A token attends to half the prompt on average, or to its window. Latents are read by every head; states cost
    about what their elements do.
    """
    total = 0.0
    for layer in model.layers:
        match layer:
            case FullAttention():
                total += prompt**2 * model.heads * (layer.head_dim + layer.value_dim)
            case SlidingAttention() | ChunkedAttention():
                reach = layer.window if isinstance(layer, SlidingAttention) else layer.chunk
                width = model.heads * (layer.head_dim + layer.value_dim)
                total += 2 * prompt * min(prompt / 2, reach) * width
            case LatentAttention():
                total += prompt**2 * model.hidden_size * 2
            case StateSpace():
                total += 4 * prompt * layer.state_elements
            case _:
                pass
    return total


def distinct_share(read: float, batch: float) -> float:
    """Return the share of experts that a batch is expected to visit, each token choosing alike: 1 - (1 - k/E)^b."""
    return 1 - (1 - read) ** batch


def _read_bytes(group: Weights, model: ModelShape, batch: float) -> float:
    match group.use:
        case WeightUse.EXPERTS:
            return group.bytes * distinct_share(group.read, max(batch, 1))
        case WeightUse.EMBEDDING:
            tied = not any(other.use is WeightUse.HEAD for other in model.weights)
            return group.bytes if tied else 0.0
        case _:
            return group.bytes * group.read


@dataclass(frozen=True, slots=True)
class Operating:
    """Where a replica would run under load."""

    batch: int
    """Sequences at a time; 0 where the objectives can't be met by any number."""
    rate: float
    """Requests per second."""
    limited_by: str
    """`sequences` that fit or are allowed, or the objective: `tpot`, `ttft`, `e2e`."""


def operating_point(speed: Speed, sequences: int, efficiency: Efficiency) -> Operating:
    """Return the largest batch whose latencies meet the objectives, and its rate."""
    limit = _unmeetable(speed, efficiency)
    if limit is not None:
        return Operating(0, 0.0, limit)
    batch, limited_by = _largest_batch(speed, sequences, efficiency)
    return Operating(batch, speed.rate(batch, efficiency) if batch else 0.0, limited_by)


def _unmeetable(speed: Speed, efficiency: Efficiency) -> str | None:
    limit = _limit(speed.demand, Latency.TTFT)
    return "ttft" if speed.first_token_s(efficiency) > limit else None


def _largest_batch(speed: Speed, sequences: int, efficiency: Efficiency) -> tuple[int, str]:
    token = min(_limit(speed.demand, Latency.TPOT), _limit(speed.demand, Latency.ITL))
    whole = _limit(speed.demand, Latency.E2E)
    outputs = speed.demand.output_tokens

    def holds(batch: int) -> bool:
        each = speed.token_s(batch, efficiency)
        return each <= token and speed.first_token_s(efficiency) + each * outputs <= whole

    if holds(sequences):
        return sequences, "sequences"
    low, high = 0, sequences
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, "tpot" if speed.token_s(max(low, 1) + 1, efficiency) > token else "e2e"


def _limit(demand: Demand, latency: Latency) -> float:
    return min((slo.limit for slo in demand.slos if slo.latency is latency), default=inf)
