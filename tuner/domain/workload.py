"""What is asked of a server: prompt and output lengths, and how requests arrive."""

import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tuner.domain.base import Frozen

Tokens = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


class FixedLength(Frozen):
    """Every request has the same number of tokens."""

    type: Literal["fixed"] = "fixed"
    tokens: Tokens

    @property
    def longest(self) -> int:
        """The largest number of tokens it can give."""
        return self.tokens


class _LengthRange(Frozen):
    low: Tokens
    high: Tokens

    @property
    def longest(self) -> int:
        """The largest number of tokens it can give."""
        return self.high

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self

    def _keep_inside(self, name: str, value: float) -> None:
        if not self.low <= value <= self.high:
            raise ValueError(f"{name} ({value:g}) lies outside low ({self.low}) to high ({self.high})")


class UniformLength(_LengthRange):
    """Whole numbers of tokens in [low, high], equally likely."""

    type: Literal["uniform"]


class NormalLength(_LengthRange):
    """Normally distributed around `mean` with deviation `sd`, rounded, and kept within [low, high]."""

    type: Literal["normal"]
    mean: Positive
    sd: NotNegative
    low: Tokens = 1

    @model_validator(mode="after")
    def _is_centred(self) -> Self:
        self._keep_inside("mean", self.mean)
        return self


class LogNormalLength(_LengthRange):
    """Log-normally distributed with the given median and shape `sigma`, rounded, and kept within [low, high]."""

    type: Literal["lognormal"]
    median: Positive
    sigma: NotNegative
    low: Tokens = 1

    @model_validator(mode="after")
    def _is_centred(self) -> Self:
        self._keep_inside("median", self.median)
        return self


def _bare_number(value: Any) -> Any:  # noqa: ANN401  # pydantic hands over whatever the file held
    if isinstance(value, int) and not isinstance(value, bool):
        return {"type": "fixed", "tokens": value}
    if value is None or isinstance(value, (bool, float, str, list)):
        raise ValueError("must be a whole number of tokens, or a mapping with a type such as uniform")
    return value


_Distribution = Annotated[FixedLength | UniformLength | NormalLength | LogNormalLength, Field(discriminator="type")]

Length = Annotated[_Distribution, BeforeValidator(_bare_number, json_schema_input_type=Tokens | _Distribution)]
"""A length distribution; a bare number means fixed."""


class Workload(Frozen):
    """Random token-id prompts of given input and output lengths: exact lengths, no shared prefix."""

    input_tokens: Length = FixedLength(tokens=512)
    """Tokens of each prompt: a number, or a distribution."""
    output_tokens: Length = FixedLength(tokens=128)
    """Tokens of each answer: a number, or a distribution."""
    ignore_eos: Annotated[bool, Field(strict=True)] = True
    """Ask the server for the full output length; then a shorter answer is a failed request."""

    @property
    def longest_request(self) -> int:
        """The most tokens that one request can hold, prompt and answer together."""
        return self.input_tokens.longest + self.output_tokens.longest

    @property
    def identity(self) -> str:
        """A short hash: two load points are comparable only where it is the same."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class ClosedLoop(Frozen):
    """`concurrency` users, each sending its next request when the last one ended."""

    kind: Literal["closed"] = "closed"
    concurrency: Annotated[int, Field(strict=True, ge=1)]

    @property
    def label(self) -> str:
        """A few words for people: `32 users`."""
        return f"{self.concurrency} users"


class PoissonArrivals(Frozen):
    """Open loop: requests arrive at `rate` per second on average, independent of the server's answers."""

    kind: Literal["poisson"] = "poisson"
    rate: Positive
    """Requests per second."""

    @property
    def label(self) -> str:
        """A few words for people: `4 req/s`."""
        return f"{self.rate:g} req/s"


Arrivals = Annotated[ClosedLoop | PoissonArrivals, Field(discriminator="kind")]
