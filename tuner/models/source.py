"""Where a model is: a directory or a JSON file of this machine, or a name of the hub."""

from collections.abc import Mapping
from pathlib import Path

from tuner.domain.errors import InputError, SurroundingsError
from tuner.models.files import ADVICE, Source, configuration, directory_source


def open_source(name: str, *, environ: Mapping[str, str], offline: bool) -> Source:
    """Return a model's configuration and weight headers.

    Args:
        name: a directory, a JSON file, or a hub name.
        environ: HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_TOKEN and HF_ENDPOINT are honoured.
        offline: ask nothing of the network.

    Raises:
        InputError: no such model, or its configuration is not one.
        SurroundingsError: the hub can't be reached, or a file can't be read.
    """
    local = _local(name)
    if local is not None:
        return local
    if _looks_like_a_path(name):
        raise InputError("no such directory or file", where=name or "model", advice=ADVICE)
    from tuner.models.hub import hub_source  # noqa: PLC0415  # huggingface_hub takes half a second

    return hub_source(name, environ=environ, offline=offline)


def _local(name: str) -> Source | None:
    """Return what is on this machine under that name; None where nothing is."""
    try:
        path = Path(name).expanduser()
        directory, file = bool(name.strip()) and path.is_dir(), path.is_file()
    except PermissionError as error:
        raise SurroundingsError(f"can't be read: {error.strerror}", where=name) from error
    except (OSError, RuntimeError, ValueError):
        return None
    if directory:
        return directory_source(path)
    return Source(configuration(path), str(path)) if file or path.suffix == ".json" else None


def _looks_like_a_path(name: str) -> bool:
    return name.startswith((".", "/", "~", "-")) or name.endswith("/") or name.count("/") > 1 or not name.strip()
