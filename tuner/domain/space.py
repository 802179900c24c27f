"""Search spaces: parameters named by vLLM's flags, their conditions, and the constraints between them."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from tuner.domain.base import Frozen
from tuner.domain.expression import ExpressionText, expression
from tuner.domain.flags import Flags, FlagValue, tunable_name

TunableName = Annotated[str, AfterValidator(tunable_name)]


class _Parameter(Frozen):
    only_when: ExpressionText | None = None
    """The parameter is proposed only where this holds; elsewhere its flag is omitted."""
    description: str = ""


class _Range(_Parameter):
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) is above high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"a log scale starts above 0, not at {self.low:g}")
        return self


class IntParameter(_Range):
    """A whole number in [low, high]; `log` and `step` exclude each other."""

    type: Literal["int"]
    low: int  # pyright: ignore[reportIncompatibleVariableOverride]
    high: int  # pyright: ignore[reportIncompatibleVariableOverride]
    step: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _has_one_scale(self) -> Self:
        if self.log and self.step != 1:
            raise ValueError("log and step exclude each other")
        return self


class FloatParameter(_Range):
    """A real number in [low, high]; `log` and `step` exclude each other."""

    type: Literal["float"]
    step: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_one_scale(self) -> Self:
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError("low and high must be finite")
        return self


class CategoricalParameter(_Parameter):
    """One of the listed values."""

    type: Literal["categorical"]
    choices: Annotated[tuple[FlagValue, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_no_twins(self) -> Self:
        if len({(type(choice), choice) for choice in self.choices}) != len(self.choices):
            raise ValueError("a choice stands twice")
        return self


class BoolParameter(_Parameter):
    """`--flag` or `--no-flag`."""

    type: Literal["bool"]


Parameter = Annotated[IntParameter | FloatParameter | CategoricalParameter | BoolParameter, Field(discriminator="type")]


class SearchSpace(Frozen):
    """The parameters of a study, in the order in which they are proposed, and what must hold between them."""

    description: str = ""
    parameters: Annotated[dict[TunableName, Parameter], Field(min_length=1)]
    constraints: tuple[ExpressionText, ...] = ()
    """Expressions over parameters that every proposed configuration satisfies; one that reads an omitted flag holds."""

    @model_validator(mode="after")
    def _refers_to_itself_only(self) -> Self:
        seen: set[str] = set()
        for name, parameter in self.parameters.items():
            if parameter.only_when is not None:
                _known(expression(parameter.only_when).names, seen, f"only_when of {name}", "parameters above it")
            seen.add(name)
        for text in self.constraints:
            _known(expression(text).names, seen, f"constraint {text!r}", "parameters of this space")
        return self

    def active(self, flags: Flags) -> Iterator[str]:
        """Yield the parameters whose condition holds for these flags."""
        for name, parameter in self.parameters.items():
            if is_active(parameter, flags):
                yield name

    def violated(self, flags: Flags) -> tuple[str, ...]:
        """Return the constraints that these flags violate."""
        return tuple(text for text in self.constraints if not expression(text).holds(flags))


def is_active(parameter: Parameter, flags: Flags) -> bool:
    """Return whether the parameter is proposed, given the flags proposed before it.

    A condition that reads an omitted flag does not hold.
    """
    if parameter.only_when is None:
        return True
    return bool(expression(parameter.only_when).evaluate(flags))


def _known(names: frozenset[str], known: set[str], where: str, what: str) -> None:
    unknown = sorted(names - known)
    if unknown:
        raise ValueError(f"{where} reads {', '.join(unknown)}: it can read only {what}")
