"""YAML that every reader reads the same, whether it knows version 1.1 (vLLM's, Kubernetes') or 1.2 (Compose's).

Text is quoted unless it is a plain word to both: in version 1.1 `on`, `12:30` and `1_000` are no text.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/_.-]*")
_NO_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_WIDE = 1_000_000
"""Columns: a line that is folded is harder to read than one that is long."""


def yaml_text(comment: Sequence[str], *documents: Mapping[str, Any]) -> str:
    """Return YAML documents under a comment.

    Args:
        comment: its lines, each with its `#`.
        documents: mappings of text, numbers, booleans, None, lists and mappings.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415  # most commands write none

    yaml: Any = YAML()  # it is only partly typed
    yaml.width = _WIDE
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    text.write("\n".join(comment) + "\n")
    for index, document in enumerate(documents):
        text.write("---\n" if index else "")
        yaml.dump(_quoted(document), text)
    return text.getvalue()


def _quoted(value: Any) -> Any:  # noqa: ANN401  # whatever YAML has
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString  # noqa: PLC0415

    match value:
        case str():
            return value if is_plain(value) else DoubleQuotedScalarString(value)
        case Mapping():
            items = cast("Mapping[str, Any]", value).items()
            return {_quoted(key): _quoted(part) for key, part in items}
        case list() | tuple():
            return [_quoted(part) for part in cast("Sequence[Any]", value)]
        case _:
            return value


def is_plain(text: str) -> bool:
    """Return whether every reader takes this for text without quotes."""
    return _PLAIN.fullmatch(text) is not None and text.lower() not in _NO_TEXT
