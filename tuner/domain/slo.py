"""Service-level objectives: a latency, a percentile, a limit. Always a set.

A load point meets the set when each percentile stays within its limit; a request meets it when each of its own
latencies does (that is what goodput counts; the percentile plays no part there).
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, WithJsonSchema

from tuner.domain.base import Frozen
from tuner.domain.units import DURATION_SCHEMA, format_ms, parse_duration


class Latency(StrEnum):
    """The four latencies, defined in `tuner.metrics.latency`."""

    TTFT = "ttft"
    TPOT = "tpot"
    ITL = "itl"
    E2E = "e2e"


class Percentile(StrEnum):
    """The statistics of a latency that a study can ask for."""

    MEAN = "mean"
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"


SLO_NAMES = tuple(f"{latency}_{percentile}" for latency in Latency for percentile in Percentile)
"""Every name that an SLO or a latency objective can have: `ttft_mean` to `e2e_p99`."""

_NAME = re.compile(r"(?P<latency>ttft|tpot|itl|e2e)_(?P<percentile>mean|p50|p90|p95|p99)")


class Slo(Frozen):
    """One objective, such as TTFT p95 within 0.5 s."""

    latency: Latency
    percentile: Percentile
    limit: float
    """Seconds."""

    @property
    def name(self) -> str:
        """The key under which it is written: `ttft_p95`."""
        return f"{self.latency}_{self.percentile}"

    def __str__(self) -> str:
        """Return it for people: `ttft_p95 ≤ 500 ms`."""
        return f"{self.name} ≤ {format_ms(self.limit)}"


def parse_slo(text: str) -> Slo:
    """Return the objective written as `ttft_p95=500ms`.

    Raises:
        ValueError: no such latency, percentile or duration.
    """
    name, equals, limit = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not an SLO: write it like ttft_p95=500ms")
    return make_slo(name.strip(), limit)


def make_slo(name: str, limit: str | float) -> Slo:
    """Return the objective of a name and a limit; a bare number is milliseconds.

    Raises:
        ValueError: no such latency, percentile or duration, or a limit of zero.
    """
    latency, percentile = split_name(name)
    try:
        seconds = parse_duration(limit, default_unit="ms")
    except ValueError as error:
        raise ValueError(f"the limit of {name}: {error}") from error
    if seconds <= 0:
        raise ValueError(f"the limit of {name} must be above zero")
    return Slo(latency=latency, percentile=percentile, limit=seconds)


def split_name(name: str) -> tuple[Latency, Percentile]:
    """Return the parts of a name such as `tpot_p95`.

    Raises:
        ValueError: no such latency or percentile.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        nearest = get_close_matches(name, SLO_NAMES, n=1)
        hint = f" (nearest: {nearest[0]})" if nearest else ""
        raise ValueError(
            f"{name!r} is no latency percentile{hint}: "
            "one of ttft, tpot, itl, e2e, then _mean, _p50, _p90, _p95 or _p99"
        )
    return Latency(match["latency"]), Percentile(match["percentile"])


def _from_mapping(value: Any) -> Any:  # noqa: ANN401  # pydantic hands over whatever the file held
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return tuple(make_slo(str(name), limit) for name, limit in items.items())
    if not isinstance(value, (tuple, list)):
        raise ValueError("must be a mapping such as ttft_p95: 500ms")  # noqa: TRY004  # pydantic reports ValueErrors
    return cast("Any", value)


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": dict.fromkeys(SLO_NAMES, DURATION_SCHEMA),
    "additionalProperties": False,
    "minProperties": 1,
}

Slos = Annotated[tuple[Slo, ...], BeforeValidator(_from_mapping), WithJsonSchema(_SCHEMA)]
"""A set of objectives; a study file writes it as a mapping (`ttft_p95: 500ms`)."""
