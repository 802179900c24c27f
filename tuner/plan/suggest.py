"""Owns starting values for `max-num-seqs` and `max-num-batched-tokens`, each with its reason. Pure.

The second and third lessons: seats for two to three times the concurrency that the target needs, no more; and a step's
tokens from those seats, not from the context length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from tuner.domain.device import Device
from tuner.domain.flags import Flags
from tuner.domain.model import ModelShape
from tuner.domain.plan import Demand, Deployment, Suggested, Suggestion
from tuner.domain.slo import Latency
from tuner.plan.defaults import GIB
from tuner.plan.memory import NO_CORRECTIONS, Corrections
from tuner.plan.roofline import LIKELY, Speed
from tuner.plan.sizing import Sizing, size
from tuner.plan.words import seconds, tokens

HEADROOM = (2.0, 3.0)
_SEATS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
"""Powers of two and their halves between: CUDA graphs and people like them; neighbours are at most 1.5 apart from 2
on, so that one always lies between two and three times the need."""
_STEP = 16
_LEAST_TOKENS = 512
"""Below that a step of a GPU is launched for too little work, whatever the seats."""
_LARGE_GPU, _MOST_TOKENS, _MOST_TOKENS_SMALL = 70 * GIB, 16384, 8192
"""The most that vLLM itself takes on such GPUs: beyond, activations grow and nothing gets faster."""
_ROUNDS, _NEARLY_FULL = 60, 0.95


@dataclass(frozen=True, slots=True)
class Need:
    """The concurrency that a rate needs."""

    sequences: float
    residence_s: float
    """Seconds that a request stays."""
    attainable: bool
    """Whether the replica is expected to keep up with the rate."""


def need(speed: Speed, rate: float, most: int) -> Need:
    """Return the concurrency by Little's law: rate times the seconds a request stays, which grow with the concurrency.

    While a share of the time goes to prompts, steps take that much longer.
    """
    prompt = speed.prefill_s(LIKELY) or 0.0
    busy = min(rate * prompt, _NEARLY_FULL)

    def stay(sequences: float) -> float:
        return (prompt + speed.demand.output_tokens * speed.step_s(max(sequences, 1.0), LIKELY)) / (1 - busy)

    sequences = 1.0
    for _ in range(_ROUNDS):
        sequences = min(rate * stay(sequences), float(most))
    residence = stay(sequences)
    return Need(sequences, residence, attainable=busy < _NEARLY_FULL and rate * residence <= most)


def suggested(sizing: Sizing, speed: Speed) -> Suggested | None:
    """Return starting values for the target rate; None without one, or where the model does not fit."""
    if speed.demand.rps is None or not sizing.fits:
        return None
    most = max(sizing.max_sequences, 1)
    wanted = need(speed, speed.demand.rps, most)
    seats = _seats(wanted, speed.demand.rps, most)
    return Suggested(max_num_seqs=seats, max_num_batched_tokens=_batched(seats.value, speed))


def suggest_for(
    model: ModelShape,
    device: Device,
    deployment: Deployment,
    demand: Demand,
    *,
    factors: Sequence[float] = (1.0, 2.0, 0.5),
    corrections: Corrections = NO_CORRECTIONS,
) -> tuple[Flags, ...]:
    """Return flags for the target rate times each factor, without repeats; none where there is nothing to suggest.

    Raises:
        InputError: a deployment that the model or the demand rules out.
    """
    sizing = size(model, device, deployment, demand, corrections)
    found: list[Flags] = []
    for factor in factors:
        rate = None if demand.rps is None else demand.rps * factor
        speed = sizing.speed(demand.model_copy(update={"rps": rate}))
        values = suggested(sizing, speed)
        flags = None if values is None else _flags(values)
        if flags is not None and flags not in found:
            found.append(flags)
    return tuple(found)


def _flags(values: Suggested) -> Flags:
    return {
        "max-num-seqs": values.max_num_seqs.value,
        "max-num-batched-tokens": values.max_num_batched_tokens.value,
    }


def _seats(wanted: Need, rate: float, most: int) -> Suggestion:
    least, generous = (factor * wanted.sequences for factor in HEADROOM)
    value = next((seats for seats in _SEATS if seats >= least), _SEATS[-1])
    why = (
        f"{rate:g} requests/s stay about {seconds(wanted.residence_s)} each, so {wanted.sequences:.2g} run at a time; "
        f"two to three times that is {least:.2g} to {generous:.2g}"
    )
    if not wanted.attainable:
        value = max(seats for seats in _SEATS if seats <= most)
        return Suggestion(
            value=value, why=f"one replica is not expected to keep up with {rate:g} requests/s: what fits"
        )
    if value > most:
        return Suggestion(value=most, why=f"{why}; only {most} fit")
    return Suggestion(value=value, why=why)


def _batched(seats: int, speed: Speed) -> Suggestion:
    mean = speed.demand.input_tokens
    wanted = _rounded(seats * mean)
    least = max(_rounded(_LEAST_TOKENS), _rounded(seats))
    most = _MOST_TOKENS if speed.device.memory_bytes >= _LARGE_GPU else _MOST_TOKENS_SMALL
    why = f"{seats} sequences x {tokens(mean)} prompt tokens"
    patient = _patient_tokens(speed)
    if patient is not None and patient < min(wanted, most):
        return Suggestion(
            value=max(patient, least),
            why=f"{why} would be {wanted:,}, but a step of so many takes longer than a token may",
        )
    if wanted > most:
        return Suggestion(value=max(most, least), why=f"{why} would be {wanted:,}; beyond {most:,} nothing gets faster")
    if wanted < least:
        return Suggestion(
            value=least, why=f"{why} would be {wanted:,}; a step of fewer than {least:,} is hardly quicker"
        )
    return Suggestion(value=wanted, why=why)


def _patient_tokens(speed: Speed) -> int | None:
    """Return the tokens of a step that a TPOT objective has the time for; None without one."""
    limits = [slo.limit for slo in speed.demand.slos if slo.latency in {Latency.TPOT, Latency.ITL}]
    if not limits or speed.flops is None:
        return None
    each = 2 * speed.model.active_parameters / (speed.flops * LIKELY.compute)
    left = min(limits) - speed.step_s(1, LIKELY)
    return max(_STEP, int(left / each) // _STEP * _STEP)


def _rounded(count: float) -> int:
    return ceil(count / _STEP) * _STEP
