"""The JSON Schema of a study file, for editors: the file as people write it, not the values it becomes.

Owns nothing about the keys themselves: types and limits come from the domain's models, descriptions from the docstrings
below their fields.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

from pydantic import BaseModel

from tuner.domain import lengths, space, study, workload
from tuner.domain.flags import FLAG_KEY_SCHEMA
from tuner.domain.study import StudySpec
from tuner.load.library import shipped_workloads
from tuner.space.loader import shipped_spaces

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a study file."""
    schema = StudySpec.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    documented = {model.__name__: model for model in _models()}
    for name, definition in [("StudySpec", schema), *definitions.items()]:
        if name in documented:
            _describe(definition, documented[name])
        _require_type(definition)
    definitions["SearchSpace"]["properties"]["parameters"]["propertyNames"] = FLAG_KEY_SCHEMA
    definitions["Workload"]["properties"]["base"] = _base()
    _may_be_named(schema["properties"]["search_space"], shipped_spaces())
    _may_be_named(schema["properties"]["workload"], shipped_workloads())
    plain = cast("dict[str, Any]", _without_titles(schema))
    return {"$schema": _DIALECT, "title": "Study file of tuner"} | plain


def _models() -> Iterator[type[BaseModel]]:
    for module in (study, space, lengths, workload):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseModel):
                yield value


def _may_be_named(field: dict[str, Any], names: tuple[str, ...]) -> None:
    """Let the file say a name or a path instead of the thing itself."""
    field["anyOf"] = [{"type": "string", "minLength": 1, "examples": list(names)}, {"$ref": field.pop("$ref")}]


def _base() -> dict[str, Any]:
    description = "Another workload, by name or path, whose keys hold where this one says nothing."
    return {"type": "string", "minLength": 1, "examples": list(shipped_workloads()), "description": description}


def _describe(definition: dict[str, Any], model: type[BaseModel]) -> None:
    definition["description"] = inspect.getdoc(model)
    texts = _field_docstrings(model)
    for name, field in definition.get("properties", {}).items():
        if name in texts:
            field["description"] = texts[name]


def _field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the text below each field in the model's source; pydantic would read it at every import."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            texts |= _docstrings_of(base)
    return texts


def _docstrings_of(model: type[BaseModel]) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    body = cast("ast.ClassDef", tree.body[0]).body
    texts: dict[str, str] = {}
    for statement, following in pairwise(body):
        match statement, following:
            case (ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text))):
                texts[name] = inspect.cleandoc(text)
            case _:
                pass
    return texts


def _require_type(definition: dict[str, Any]) -> None:
    """A mapping that is one of several kinds says which, even where the model has a default."""
    if "const" in definition.get("properties", {}).get("type", {}):
        definition["required"] = sorted({*definition.get("required", []), "type"})


def _without_titles(schema: Any) -> Any:  # noqa: ANN401  # any part of the schema
    """Drop pydantic's titles (`Only When`), which say less than the keys."""
    if isinstance(schema, dict):
        parts = cast("dict[str, Any]", schema).items()
        return {key: _without_titles(part) for key, part in parts if key != "title" or not isinstance(part, str)}
    if isinstance(schema, list):
        return [_without_titles(part) for part in cast("list[Any]", schema)]
    return schema
