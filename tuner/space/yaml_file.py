"""Strict reading of YAML files.

Owns the way from a file's bytes to plain mappings, lists, numbers and text. Refuses what a study file never needs and
an attacker would like: anchors and aliases (they can blow up a small file), tags, several documents, duplicate keys,
deep nesting, huge files. YAML 1.2: `07:00` and `yes` are text.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, NodeEvent

from tuner.domain.errors import InputError

LARGEST = 250_000
"""Bytes: a thousand times a study file; the parser takes some seconds for as many."""
_DEEPEST = 30
_LONGEST_REASON = 200


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        InputError: no such file, not readable, too large, or not a strict YAML mapping; says the line.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError("is no regular file", where=str(path))
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=str(path)) from error
    except (OSError, ValueError) as error:  # ValueError: a path that holds a null byte
        raise InputError(f"can't be read: {error}", where=str(path)) from error
    return parse_yaml(content, source=str(path))


def parse_yaml(content: bytes, *, source: str) -> dict[str, Any]:
    """Return the mapping that the bytes of a YAML file hold; `source` names the file in errors.

    Raises:
        InputError: too large, not UTF-8, or not a strict YAML mapping; says the line.
    """
    if len(content) > LARGEST:
        raise InputError(f"is larger than {LARGEST // 1000} kB: that is no study or search space", where=source)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError("is not UTF-8 text", where=f"{source}:{line}") from error
    return _mapping(_load(text, source), source)


def _load(text: str, source: str) -> Any:  # noqa: ANN401  # whatever the file holds
    try:
        _refuse_tricks(text, source)
        return _yaml().load(text)
    except MarkedYAMLError as error:
        raise InputError(_reason(error), where=f"{source}:{_failing_line(error)}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:_LONGEST_REASON]
        raise InputError(f"is not valid YAML: {reason}", where=source) from error


def _yaml() -> Any:  # noqa: ANN401  # ruamel.yaml is only partly typed
    return YAML(typ="safe", pure=True)


def _refuse_tricks(text: str, source: str) -> None:
    """Refuse anchors, aliases, tags and deep nesting before anything is built from them."""
    depth = 0
    for event in _yaml().parse(text):
        reason = _trick(event)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST:
            reason = f"is nested more than {_DEEPEST} levels deep"
        if reason is not None:
            raise InputError(reason, where=f"{source}:{_line(event.start_mark)}")


def _trick(event: Any) -> str | None:  # noqa: ANN401
    if isinstance(event, NodeEvent) and event.anchor:  # pyright: ignore[reportUnknownMemberType]
        return "anchors and aliases (& and *) can't be used here: repeat it, or put the text in quotes"
    if getattr(event, "tag", None):
        return "tags (!) can't be used here: put the text in quotes"
    return None


def _line(mark: Any) -> int:  # noqa: ANN401
    return mark.line + 1 if mark else 1


def _failing_line(error: Any) -> int:  # noqa: ANN401
    return _line(error.problem_mark or error.context_mark)


def _reason(error: Any) -> str:  # noqa: ANN401
    problem = str(error.problem or "unreadable").partition(" with value")[0]
    if problem.startswith("found duplicate key"):
        return problem.replace("found duplicate key", "the key stands twice:").replace('"', "")
    context = f" ({error.context})" if error.context else ""
    return f"is not valid YAML: {problem}{context}"[:_LONGEST_REASON]


def _mapping(data: Any, source: str) -> dict[str, Any]:  # noqa: ANN401
    if data is None:
        raise InputError("is empty", where=source)
    if not isinstance(data, Mapping):
        raise InputError("must be a mapping of keys to values, not a list or a single value", where=source)
    mapping = cast("Mapping[Any, Any]", data)
    odd = next((key for key in mapping if not isinstance(key, str)), None)
    if odd is not None:
        raise InputError(f"the key {odd!r} is not text: put it in quotes", where=source)
    return dict(mapping)
