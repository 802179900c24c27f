"""What a configuration costs: GPUs for a target rate, money per million output tokens, tokens per joule. Pure.

Nothing is assumed: without a price there is no cost, without a measured energy no efficiency. A price names a device as
people do (`h100=2.99`): each of its words must be a word of the device's names.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tuner.domain.base import Frozen
from tuner.domain.flags import Flags
from tuner.domain.measurement import Capacity, LoadPoint

_WORD = re.compile(r"[a-z0-9]+")
_GPUS_MULTIPLY = (
    "tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size", "prefill-context-parallel-size",
)  # fmt: skip
_PER_HOUR = 3600.0
_MILLION = 1e6
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Price:
    """What one GPU costs for an hour, in whatever currency."""

    device: str
    """As it was written: `h100`, `a100-80gb`."""
    per_hour: float

    def names(self, words: frozenset[str]) -> bool:
        """Return whether it means the device of these words."""
        return self.words <= words

    @property
    def words(self) -> frozenset[str]:
        """What a device must be called to have this price."""
        return words_of(self.device)


class Bill(Frozen):
    """What a target rate takes with one configuration. Money is in the currency of the price."""

    gpus_per_replica: int
    replicas: int | None
    """Replicas that hold the target rate times the headroom; None when no rate held at all."""
    gpus: int | None
    """GPUs of all these replicas."""
    gpus_upper: int | None
    """The same if the capacity were at the lower end of its interval; None where that is zero."""
    price_per_gpu_hour: float | None = None
    per_hour: float | None = None
    """Of all these GPUs."""
    per_million_output_tokens: float | None = None
    """With every replica at its capacity: the least that a million output tokens cost."""
    per_million_output_tokens_lower: float | None = None
    """The same at the upper end of the capacity's interval."""
    per_million_output_tokens_upper: float | None = None
    """The same at its lower end."""
    per_million_output_tokens_at_target: float | None = None
    """With these replicas at the target rate, headroom and rounding up paid for."""


class Efficiency(Frozen):
    """What a load point took from the socket, by its GPUs' own counters."""

    power_w: float
    """Of all GPUs together, averaged over the load point."""
    output_tokens_per_joule: float


def words_of(*names: str) -> frozenset[str]:
    """Return the words of names: runs of letters and digits, in lower case."""
    return frozenset(word for name in names for word in _WORD.findall(name.lower()))


def parse_price(text: str) -> Price:
    """Return the price written as `h100=2.99`.

    Raises:
        ValueError: it says no device, or no sum above zero.
    """
    device, _, amount = text.rpartition("=")
    try:
        per_hour = float(amount)
    except ValueError:
        per_hour = math.nan
    if not words_of(device) or not math.isfinite(per_hour) or per_hour <= 0:
        raise ValueError(f"{text!r} is no price: write it like h100=2.99, per GPU and hour")
    return Price(device.strip(), per_hour)


def price_of(words: frozenset[str], prices: Iterable[Price]) -> Price | None:
    """Return the price of a device, the one that says the most about it; None without any.

    Raises:
        ValueError: two say as much, and not the same sum.
    """
    fitting = sorted((price for price in prices if price.names(words)), key=lambda price: -len(price.words))
    if len(fitting) > 1 and len(fitting[0].words) == len(fitting[1].words):
        first, second = fitting[:2]
        raise ValueError(f"{first.device}={first.per_hour:g} and {second.device}={second.per_hour:g} mean one device")
    return fitting[0] if fitting else None


def gpus_per_replica(flags: Flags) -> int:
    """Return how many GPUs vLLM takes for one server of these flags, fixed ones included."""
    return math.prod(int(flags.get(name, 1)) for name in _GPUS_MULTIPLY)


def output_tokens_per_request(points: Sequence[LoadPoint]) -> float | None:
    """Return the output tokens of one request as arrivals count them: a whole session where requests are sessions.

    Read from the longest valid load point; None without any.
    """
    told = (point for point in points if not point.summary.invalid and point.summary.achieved_rps > 0)
    longest = max(told, key=lambda point: point.summary.completed, default=None)
    if longest is None:
        return None
    summary = longest.summary
    calls = summary.sessions.calls_mean if summary.sessions else 1.0
    return summary.output_tokens_per_s / summary.achieved_rps * calls


def efficiency(point: LoadPoint) -> Efficiency | None:
    """Return what a load point took; None unless every GPU's energy was measured."""
    energies = [gpu.energy_j for gpu in point.machine.gpus]
    known = [energy for energy in energies if energy]
    summary = point.summary
    if not known or len(known) < len(energies) or point.duration <= 0 or summary.achieved_rps <= 0:
        return None
    joules = sum(known)
    tokens = summary.completed * summary.output_tokens_per_s / summary.achieved_rps
    return Efficiency(power_w=joules / point.duration, output_tokens_per_joule=tokens / joules)


def bill(
    capacity: Capacity,
    *,
    target_rps: float,
    headroom: float,
    gpus: int,
    tokens_per_request: float | None,
    price: Price | None,
) -> Bill:
    """Return what a target rate takes.

    Args:
        capacity: of one replica.
        target_rps: requests per second to serve.
        headroom: how many times the target rate must be sustained.
        gpus: of one replica.
        tokens_per_request: output tokens.
        price: of one of these GPUs; without it, the bill counts GPUs alone.
    """
    replicas, most = (replicas_for(target_rps * headroom, rps) for rps in (capacity.rps, capacity.lower_rps))
    counted = Bill(
        gpus_per_replica=gpus,
        replicas=replicas,
        gpus=replicas and replicas * gpus,
        gpus_upper=most and most * gpus,
    )
    if price is None:
        return counted
    hourly = price.per_hour * gpus

    def per_million(rps: float | None, replicas: int | None = 1) -> float | None:
        if not rps or not tokens_per_request or not replicas:
            return None
        return hourly * replicas / (rps * tokens_per_request * _PER_HOUR) * _MILLION

    return counted.model_copy(
        update={
            "price_per_gpu_hour": price.per_hour,
            "per_hour": replicas and hourly * replicas,
            "per_million_output_tokens": per_million(capacity.rps),
            "per_million_output_tokens_lower": per_million(capacity.upper_rps),
            "per_million_output_tokens_upper": per_million(capacity.lower_rps),
            "per_million_output_tokens_at_target": per_million(target_rps, replicas),
        }
    )


def replicas_for(rps: float, capacity_rps: float) -> int | None:
    """Return how many replicas of a capacity hold a rate; None when the capacity is none."""
    return math.ceil(rps / capacity_rps / _ROUNDING) if capacity_rps > 0 else None
