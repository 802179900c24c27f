"""A model's configuration on this machine: a directory, or a JSON file; and the weight headers beside it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tuner.domain.errors import InputError, SurroundingsError
from tuner.models.fields import Raw
from tuner.models.headers import local_tensors
from tuner.models.mistral import from_mistral
from tuner.models.stored import Tensor

ADVICE = "Name a directory with config.json, a config.json itself, or a model of the hub such as org/name."
_CONFIG = "config.json"
_PARAMS = "params.json"


@dataclass(frozen=True, slots=True)
class Source:
    """A model's files, as far as they are read."""

    config: Raw
    where: str
    """The configuration's file, for errors."""
    tensors: tuple[Tensor, ...] = ()
    note: str = ""
    """What is to be said about how it was read."""


def directory_source(path: Path) -> Source:
    """Return what a directory holds.

    Raises:
        InputError: no configuration there, or one that is none; weight files that are none.
        SurroundingsError: a file can't be read.
    """
    for file in (path / _CONFIG, path / _PARAMS):
        if file.is_file():
            return Source(configuration(file), str(file), local_tensors(path))
    raise InputError("the directory holds no config.json", where=str(path), advice=ADVICE)


def configuration(path: Path, *, where: str = "") -> Raw:
    """Return the configuration in a config.json, or what a params.json says in its words.

    Args:
        path: the file.
        where: what errors name; the file where nothing is said.

    Raises:
        InputError: no such file, or no JSON object in it.
        SurroundingsError: the file can't be read.
    """
    raw = _object(path)
    return from_mistral(raw, where=where or str(path)) if path.name == _PARAMS else raw


def _object(path: Path) -> Raw:
    try:
        decoded: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), advice=ADVICE) from error
    except OSError as error:
        raise SurroundingsError(f"can't be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", where=str(path), advice=ADVICE) from error
    if not isinstance(decoded, dict):
        raise InputError("not a JSON object", where=str(path), advice=ADVICE)
    return cast("Raw", decoded)
