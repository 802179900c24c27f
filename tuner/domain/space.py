"""Search spaces: parameters named by vLLM's flags, their conditions, and the constraints between them."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator, model_validator

from tuner.domain.base import Frozen
from tuner.domain.expression import ExpressionText, expression
from tuner.domain.flags import (
    FLAG_KEY_SCHEMA,
    FLAG_VALUE_SCHEMA,
    Flags,
    FlagValue,
    canonical_name,
    normal_value,
    tunable_name,
)

TunableName = Annotated[str, AfterValidator(tunable_name), WithJsonSchema(FLAG_KEY_SCHEMA)]

_Choice = Annotated[
    FlagValue, AfterValidator(lambda value: normal_value("choices", value)), WithJsonSchema(FLAG_VALUE_SCHEMA)
]


class _Parameter(Frozen):
    only_when: ExpressionText | None = None
    """The parameter is proposed only where this holds; elsewhere its flag is omitted."""
    description: str = ""
    """Why it is worth tuning, for people."""


class _Range(_Parameter):
    low: Annotated[float, Field(strict=True, allow_inf_nan=False)]
    """The smallest value."""
    high: Annotated[float, Field(strict=True, allow_inf_nan=False)]
    """The largest value."""
    log: Annotated[bool, Field(strict=True)] = False
    """Whether ratios matter rather than differences: 16, 32, 64 stand equally far apart."""

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
    low: Annotated[int, Field(strict=True)]  # pyright: ignore[reportIncompatibleVariableOverride]
    """The smallest value."""
    high: Annotated[int, Field(strict=True)]  # pyright: ignore[reportIncompatibleVariableOverride]
    """The largest value."""
    step: Annotated[int, Field(strict=True, ge=1)] = 1
    """The distance between neighbouring values."""

    @model_validator(mode="after")
    def _has_one_scale(self) -> Self:
        if self.log and self.step != 1:
            raise ValueError("log and step exclude each other")
        rest = (self.high - self.low) % self.step
        if rest:
            raise ValueError(f"steps of {self.step} from {self.low} end at {self.high - rest}, not at {self.high}")
        return self


class FloatParameter(_Range):
    """A real number in [low, high]; `log` and `step` exclude each other."""

    type: Literal["float"]
    step: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """The distance between neighbouring values; without it, every value."""

    @model_validator(mode="after")
    def _has_one_scale(self) -> Self:
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        steps = (self.high - self.low) / self.step if self.step else 0.0
        if not math.isclose(steps, round(steps), rel_tol=1e-9, abs_tol=1e-9):
            raise ValueError(f"high ({self.high:g}) is not a whole number of steps of {self.step:g} above {self.low:g}")
        return self


class CategoricalParameter(_Parameter):
    """One of the listed values."""

    type: Literal["categorical"]
    choices: Annotated[tuple[_Choice, ...], Field(min_length=1)]
    """The values."""

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
    """What the space is for, for people."""
    parameters: Annotated[dict[TunableName, Parameter], Field(min_length=1)]
    """Flag to range or choices. A parameter's condition can read those above it."""
    constraints: tuple[ExpressionText, ...] = ()
    """Expressions over parameters that every proposed configuration satisfies; one that reads an omitted flag holds."""

    @field_validator("parameters", mode="before")
    @classmethod
    def _name_each_once(cls, parameters: Any) -> Any:  # noqa: ANN401  # pydantic hands over whatever the file held
        if isinstance(parameters, Mapping):
            _refuse_two_spellings([name for name in cast("Mapping[Any, Any]", parameters) if isinstance(name, str)])
        return cast("Any", parameters)

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


def _refuse_two_spellings(names: list[str]) -> None:
    spelling: dict[str, str] = {}
    for name in names:
        try:
            canonical = canonical_name(name)
        except ValueError:
            continue  # reported with its own reason
        if canonical in spelling:
            raise ValueError(f"{spelling[canonical]} and {name} are the same flag")
        spelling[canonical] = name


def _known(names: frozenset[str], known: set[str], where: str, what: str) -> None:
    unknown = sorted(names - known)
    if unknown:
        raise ValueError(f"{where} reads {', '.join(unknown)}: it can read only {what}")
