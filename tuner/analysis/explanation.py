"""What an explanation is: its kind, one sentence, the figures it rests on, and what to do. Pure."""

from enum import StrEnum

from tuner.domain.base import Frozen


class ExplanationKind(StrEnum):
    """What held a load point back, in the order of importance."""

    CLIENT_BOUND = "client_bound"
    THERMALLY_THROTTLED = "thermally_throttled"
    PREEMPTING = "preempting"
    KV_BOUND = "kv_bound"
    QUEUE_BOUND = "queue_bound"
    TOKENISATION_BOUND = "tokenisation_bound"
    HOST_BOUND = "host_bound"
    PREFILL_BOUND = "prefill_bound"
    DECODE_BOUND = "decode_bound"
    IDLE_BETWEEN_CALLS = "idle_between_calls"
    STARVED = "starved"
    POWER_CAPPED = "power_capped"
    NOTHING_BINDS = "nothing_binds"
    UNEXPLAINED = "unexplained"


class Explanation(Frozen):
    """Why a load point is as it is."""

    kind: ExplanationKind
    text: str
    """One plain sentence that names the figures it rests on."""
    figures: dict[str, float]
    """Those figures by name; seconds, shares from 0 to 1, counts."""
    advice: str = ""
    """Which flag to move in which direction, or what else to do."""


def known(**figures: float | None) -> dict[str, float]:
    """Return the figures that are known."""
    return {name: float(value) for name, value in figures.items() if value is not None}


def now(value: int | None) -> str:
    """Return ` (now 2,048)` for a setting, nothing where it is unknown."""
    return "" if value is None else f" (now {value:,})"
