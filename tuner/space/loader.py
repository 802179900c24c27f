"""Finding and reading search spaces: shipped ones by name, others by path.

Owns where the shipped spaces lie (inside an installed package, or beside it in the source tree).
"""

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tuner.domain.errors import InputError
from tuner.domain.problems import explain, nearest
from tuner.domain.space import SearchSpace
from tuner.space.yaml_file import parse_yaml, read_yaml

_SUFFIX = ".yaml"
_SUFFIXES = frozenset({_SUFFIX, ".yml"})


def load_space(name_or_path: str, *, relative_to: Path) -> SearchSpace:
    """Return the space that a name or a path means.

    `scheduler` is the shipped space of that name; `scheduler.yaml` is the file of that name in `relative_to` where
    there is one, else the shipped space; anything with a slash is a path.

    Args:
        name_or_path: a shipped space's name, or a path.
        relative_to: the directory that relative paths start from.

    Raises:
        InputError: no such space, or one that isn't valid.
    """
    path = relative_to / Path(name_or_path).expanduser()
    is_path = "/" in name_or_path
    if is_path or (path.suffix in _SUFFIXES and path.is_file()):
        return parse_space(read_yaml(path), source=str(path))
    name = name_or_path.removesuffix(_SUFFIX)
    if name not in shipped_spaces():
        raise InputError(
            f"there is no search space named {name_or_path!r}; {nearest(name, shipped_spaces())}",
            where="search_space",
            advice=f"shipped are {', '.join(shipped_spaces())}; name a file by its path, such as ./my-space.yaml",
        )
    file = _shipped_directory() / f"{name}{_SUFFIX}"
    return parse_space(parse_yaml(file.read_bytes(), source=file.name), source=file.name)


def parse_space(data: Mapping[str, Any], *, source: str) -> SearchSpace:
    """Return the space that a mapping describes; `source` names it in errors.

    Raises:
        InputError: every problem of the mapping, each with its key.
    """
    try:
        return SearchSpace.model_validate(dict(data))
    except ValidationError as error:
        raise explain(error, source=source, model=SearchSpace) from error


def shipped_spaces() -> tuple[str, ...]:
    """Return the names of the spaces that come with the tuner, sorted."""
    names = (file.name for file in _shipped_directory().iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def _shipped_directory() -> Traversable:
    package = files("tuner")
    installed = package / "search_spaces"
    return installed if installed.is_dir() else package / ".." / "search_spaces"
