"""How many tokens a prompt or an answer has: a number, or a distribution of numbers."""

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


class EmpiricalLength(Frozen):
    """Drawn from the values listed, each as often as its weight says; equally often without weights."""

    type: Literal["empirical"]
    values: Annotated[tuple[Tokens, ...], Field(min_length=1)]
    weights: tuple[Positive, ...] = ()

    @property
    def longest(self) -> int:
        """The largest number of tokens it can give."""
        return max(self.values)

    @model_validator(mode="after")
    def _weighs_each_value(self) -> Self:
        if self.weights and len(self.weights) != len(self.values):
            raise ValueError(f"{len(self.weights)} weights for {len(self.values)} values")
        return self


def _bare_number(value: Any) -> Any:  # noqa: ANN401  # pydantic hands over whatever the file held
    if isinstance(value, int) and not isinstance(value, bool):
        return {"type": "fixed", "tokens": value}
    if value is None or isinstance(value, (bool, float, str, list)):
        raise ValueError("must be a whole number of tokens, or a mapping with a type such as uniform")
    return value


_Distribution = Annotated[
    FixedLength | UniformLength | NormalLength | LogNormalLength | EmpiricalLength, Field(discriminator="type")
]

Length = Annotated[_Distribution, BeforeValidator(_bare_number, json_schema_input_type=Tokens | _Distribution)]
"""A length distribution; a bare number means fixed."""
