"""What is a secret, and blanking it out of text. Pure: environments are handed in.

A secret is known by the name of its variable, or by its place in a URL. It is blanked by its value, in whatever text
it turns up. A value shorter than eight characters is no credible secret, and blanking it would garble the text.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, unquote

SHORTEST = 8
_NAME = re.compile(
    r"TOKEN(?!IZER|S(?:_|$))|SECRET|PASSW(?:OR)?D|PASSPHRASE|_PASS$|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL",
    re.IGNORECASE,
)
_PLACE = re.compile(r"_(?:PATH|FILE|DIR|HOME)$", re.IGNORECASE)
"""Ends of the names of variables that say where a secret is."""
_IN_URL = re.compile(r"://[^/?#\s@:]*:([^/?#\s]+)@|https?://([^/?#\s@:]+)@")
"""The password of a URL; on the web a user without one is a token."""


def is_secret_name(name: str) -> bool:
    """Return whether a variable of this name holds a secret."""
    return _NAME.search(name) is not None and _PLACE.search(name) is None


def holds_password(text: str) -> bool:
    """Return whether a URL in the text holds a password."""
    return _IN_URL.search(text) is not None


def secret_values(env: Mapping[str, str], texts: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the secrets of an environment, and those in the URLs of some texts, in every spelling, longest first."""
    named = [value for name, value in env.items() if is_secret_name(name)]
    in_urls = [found for text in (*env.values(), *texts) for match in _IN_URL.findall(text) for found in match]
    spelled = {spelling for value in (*named, *in_urls) for spelling in _spellings(value)}
    return tuple(sorted((value for value in spelled if len(value) >= SHORTEST), key=len, reverse=True))


def _spellings(value: str) -> Iterator[str]:
    """Yield a value as it stands, as a URL has it, and as JSON has it."""
    yield from (value, unquote(value), quote(value, safe=""), json.dumps(value, ensure_ascii=False)[1:-1])


def blanked(text: str, secrets: Sequence[str]) -> str:
    """Return the text with asterisks for every secret, and for the beginning of one that the text's end cut off."""
    for secret in secrets:
        text = text.replace(secret, "*" * len(secret))
    for secret in secrets:
        for length in range(len(secret) - 1, SHORTEST - 1, -1):
            if text.endswith(secret[:length]):
                text = text[:-length] + "*" * length
    return text


def without_secrets(value: Any, secrets: Sequence[str]) -> Any:  # noqa: ANN401  # whatever JSON has
    """Return a JSON value with every secret in its texts and keys blanked."""
    match value:
        case str():
            return blanked(value, secrets)
        case dict():
            items = cast("dict[str, Any]", value).items()
            return {blanked(key, secrets): without_secrets(part, secrets) for key, part in items}
        case list() | tuple():
            return [without_secrets(part, secrets) for part in cast("list[Any]", value)]
        case _:
            return value
