"""What is wrong with a person's input, said in the words of their file.

Owns the way from pydantic's `ValidationError` to one `InputError`: dotted keys as the file has them, plain reasons,
the nearest valid key. Refuses to show a class name, a union's tag or a validator's name.
"""

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tuner.domain.errors import InputError

_SHOWN = 60
_MOST = 20
_KEY = "[key]"


class _Problem(NamedTuple):
    path: str
    reason: str


class _Place(NamedTuple):
    """Where an error's location leads: the keys on the way, and the type that was expected there."""

    keys: tuple[str | int, ...]
    expected: Any
    holder: type[BaseModel] | None
    """The model whose key is the last one."""
    in_union: bool


def explain(error: ValidationError, *, source: str, model: type[BaseModel]) -> InputError:
    """Return one error for people that names every problem: file, dotted key, reason, nearest valid key.

    Args:
        error: what pydantic raised while validating the mapping as `model`.
        source: the file's path, or `command line`.
        model: the model that was validated: its fields say which keys there are.
    """
    problems = list(dict.fromkeys(_problems(error, model)))
    lines = [f"{problem.path}: {problem.reason}" if problem.path else problem.reason for problem in problems]
    if len(lines) == 1:
        return InputError(lines[0], where=source)
    shown = [f"\n  {line}" for line in lines[:_MOST]]
    rest = [f"\n  and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    return InputError(f"{len(lines)} problems" + "".join(shown + rest), where=source)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?`, or which words there are."""
    names = list(known)
    spelling = {name.replace("_", "-").lower(): name for name in names}
    close = get_close_matches(word.replace("_", "-").lower(), spelling, n=1)
    return f"did you mean {spelling[close[0]]}?" if close else f"known are {', '.join(names)}"


def dotted(keys: Sequence[str | int]) -> str:
    """Return the keys as people read them: `engine.flags.max-num-seqs`, `candidates[0]`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{_shown_key(key)}" for key in keys)
    return text.removeprefix(".")


def _shown_key(key: str) -> str:
    return key if key.isprintable() and len(key) <= _SHOWN else _shown(key)


def _problems(error: ValidationError, model: type[BaseModel]) -> Iterator[_Problem]:
    found = [(_find(model, details["loc"]), details) for details in error.errors(include_url=False)]
    unions: set[tuple[str | int, ...]] = set()
    for place, details in found:
        if details["type"] == "too_short" and any(_is_below(other.keys, place.keys) for other, _ in found):
            continue  # pydantic counts only the good elements
        if not place.in_union:
            yield _Problem(dotted(place.keys), _reason(details, place))
        elif place.keys not in unions:
            unions.add(place.keys)
            yield _Problem(dotted(place.keys), _union_reason(details, place))


def _is_below(keys: tuple[str | int, ...], above: tuple[str | int, ...]) -> bool:
    return len(keys) > len(above) and keys[: len(above)] == above


def _find(model: type[BaseModel], location: Sequence[str | int]) -> _Place:
    place = _Place((), model, None, in_union=False)
    if location and location[-1] == _KEY:
        *location, _ = location
        return _find(model, location)._replace(expected=str, in_union=False)
    for step in location:
        place = _step(place, step)
    return place


def _step(place: _Place, step: str | int) -> _Place:
    expected = _bare(place.expected)
    members = _members(expected)
    if members:
        return place._replace(expected=_chosen(members, step), in_union=place.in_union or not _is_tagged(members))
    if _is_model(expected):
        field = cast("type[BaseModel]", expected).model_fields.get(str(step))
        return _Place((*place.keys, step), _type_of(field), expected, in_union=False)
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is dict:
        return _Place((*place.keys, str(step)), arguments[1], None, in_union=False)
    if origin in (tuple, list) and isinstance(step, int):
        return _Place((*place.keys, step), arguments[0], None, in_union=False)
    return place  # a validator's name or a scalar's: nothing that the file says


def _bare(expected: Any) -> Any:  # noqa: ANN401  # a type annotation has no type of its own
    """Return the type without `Annotated` and without `None`."""
    while get_origin(expected) is Annotated:
        expected = get_args(expected)[0]
    others = [member for member in _members(expected) if member is not type(None)]
    return _bare(others[0]) if len(others) == 1 else expected


def _members(expected: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return get_args(expected) if get_origin(expected) in (Union, types.UnionType) else ()


def _is_model(expected: Any) -> bool:  # noqa: ANN401
    return isinstance(expected, type) and issubclass(expected, BaseModel)


def _is_tagged(members: Sequence[Any]) -> bool:
    return all(_is_model(_bare(member)) for member in members)


def _tags(member: Any) -> list[str]:  # noqa: ANN401
    """Return the values of the field that tells this model from its siblings."""
    fields = cast("type[BaseModel]", _bare(member)).model_fields.values()
    return [
        str(tag) for field in fields if get_origin(field.annotation) is Literal for tag in get_args(field.annotation)
    ]


def _chosen(members: Sequence[Any], tag: str | int) -> Any:  # noqa: ANN401
    """Return the member of a union that pydantic's tag names, or the union itself."""
    for member in members:
        if _is_model(_bare(member)) and (tag in _tags(member) or tag == _bare(member).__name__):
            return member
    return None


def _type_of(field: FieldInfo | None) -> Any:  # noqa: ANN401
    return None if field is None else field.annotation


def _reason(details: ErrorDetails, place: _Place) -> str:
    kind = details["type"]
    if kind == "extra_forbidden" and place.holder is not None:
        return f"unknown key; {nearest(str(place.keys[-1]), place.holder.model_fields)}"
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _tag_reason(details["input"], place)
    context = {name: f"{part:g}" if isinstance(part, float) else part for name, part in details.get("ctx", {}).items()}
    template = _REASONS.get(kind, "{message}")
    return template.format(value=_shown(details["input"]), message=details["msg"], **context)


def _union_reason(details: ErrorDetails, place: _Place) -> str:
    if details["type"] == "value_error":
        return _reason(details, place)
    return f"must be true, false, a number or text, not {_shown(details['input'])}"


def _tag_reason(value: Any, place: _Place) -> str:  # noqa: ANN401  # the file's value
    known = [tag for member in _members(_bare(place.expected)) for tag in _tags(member)]
    if not isinstance(value, Mapping):
        return f"must be a mapping with a type, not {_shown(value)}"
    tag = cast("Mapping[Any, Any]", value).get("type")
    if tag is None:
        return f"needs a type: one of {', '.join(known)}"
    return f"unknown type {_shown(tag)}; {nearest(str(tag), known)}"


def _shown(value: Any) -> str:  # noqa: ANN401
    """Return the file's value, short and in the file's words."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = str(value)[: _SHOWN + 1]
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return repr(text) if isinstance(value, str) else text


_WANTED = {
    "string_type": "text",
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number", "float_parsing": "a number", "finite_number": "a finite number",
    "bool_type": "true or false", "bool_parsing": "true or false",
    "dict_type": "a mapping", "mapping_type": "a mapping", "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list", "list_type": "a list",
    "invalid_key": "text", "enum": "{expected}", "literal_error": "{expected}",
    "greater_than": "above {gt}", "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}", "less_than_equal": "at most {le}",
}  # fmt: skip

_REASONS = {kind: f"must be {wanted}, not {{value}}" for kind, wanted in _WANTED.items()} | {
    "missing": "is missing",
    "value_error": "{error}",
    "too_short": "needs at least {min_length}, has {actual_length}",
    "too_long": "takes at most {max_length}, has {actual_length}",
    "string_too_long": "takes at most {max_length} characters",
}
"""Pydantic's kinds of error in plain words; the braces are filled from the error's context."""
