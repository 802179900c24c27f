"""A model of the hub: its config.json and the headers of its weight files, from the cache or the network.

Weights that are cached whole are read from the cache; else their headers are asked for, which takes a request for each
file; else the configuration alone must do. Nothing is downloaded but config.json.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import (
    HfApi,
    get_hf_file_metadata,  # pyright: ignore[reportUnknownVariableType]  # a bare dict among its arguments
    hf_hub_download,  # pyright: ignore[reportUnknownVariableType]  # tqdm's class
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]  # of whichever HTTP library it uses
    LocalEntryNotFoundError,
    NotASafetensorsRepoError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    SafetensorsParsingError,
)
from huggingface_hub.utils import disable_progress_bars

from tuner.domain.errors import InputError, SurroundingsError
from tuner.models.files import ADVICE, Source, configuration
from tuner.models.headers import local_tensors
from tuner.models.stored import BITS, Tensor

_NAMES = ("config.json", "params.json")
_TRUE = {"1", "ON", "YES", "TRUE"}
_COMPUTED = "the weight files were not looked into: their size is computed from the configuration"
_NO_HEADERS = (
    EntryNotFoundError,
    HTTPError,
    NotASafetensorsRepoError,
    OSError,
    OfflineModeIsEnabled,
    SafetensorsParsingError,
)


def hub_source(name: str, *, environ: Mapping[str, str], offline: bool) -> Source:
    """Return the configuration and the weight headers of a model of the hub.

    Raises:
        InputError: no such model, no access to it, or it has no configuration.
        SurroundingsError: the hub can't be reached and the cache has nothing.
    """
    alone = offline or environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE
    path = _configuration_file(name, environ, alone=alone)
    tensors = local_tensors(path.parent) or (() if alone else _remote_tensors(name, environ))
    where = f"{name}, {path.name}"
    return Source(configuration(path, where=where), where, tensors, "" if tensors else _COMPUTED)


def _configuration_file(name: str, environ: Mapping[str, str], *, alone: bool) -> Path:
    """Return config.json from the cache, or download it."""
    cache = hub_cache(environ)
    with _explained(name, environ):
        for filename in _NAMES:
            cached = try_to_load_from_cache(name, filename, cache_dir=cache)
            if isinstance(cached, str):
                return Path(cached)
        if alone:
            raise _unreachable(name)
        for filename in _NAMES:
            if _exists(name, filename, environ):
                endpoint, token = environ.get("HF_ENDPOINT") or None, _token(environ)
                return Path(hf_hub_download(name, filename, cache_dir=cache, endpoint=endpoint, token=token))
    raise InputError(
        "the model has no config.json on the hub", where=name, advice="Name the original, unconverted model."
    )


def _exists(name: str, filename: str, environ: Mapping[str, str]) -> bool:
    """Return whether the hub has a file; unlike a download, the question is not asked again for half a minute."""
    url = hf_hub_url(name, filename, endpoint=environ.get("HF_ENDPOINT") or None)
    try:
        get_hf_file_metadata(url, token=_token(environ))
    except RemoteEntryNotFoundError:
        return False
    return True


def _remote_tensors(name: str, environ: Mapping[str, str]) -> tuple[Tensor, ...]:
    disable_progress_bars()
    api = HfApi(endpoint=environ.get("HF_ENDPOINT") or None, token=_token(environ))
    try:
        files = api.get_safetensors_metadata(name).files_metadata
    except _NO_HEADERS:
        return ()
    tensors = [
        Tensor(tensor, info.dtype, tuple(info.shape))
        for file in files.values()
        for tensor, info in file.tensors.items()
    ]
    return tuple(tensors) if all(tensor.dtype in BITS for tensor in tensors) else ()


@contextmanager
def _explained(name: str, environ: Mapping[str, str]) -> Generator[None]:
    """Say what the hub's errors mean and what to do about them."""
    try:
        yield
    except GatedRepoError as error:
        raise InputError(
            "the model is gated, and you have no access to it",
            where=name,
            advice="Accept its terms on the hub and set HF_TOKEN, or name a local directory.",
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            "no such model on the hub, or a private one",
            where=name,
            advice="Check the name; a private model needs HF_TOKEN; a local directory must exist.",
        ) from error
    except HFValidationError as error:
        raise InputError(
            "neither a directory, nor a file, nor a name that the hub could know", where=name, advice=ADVICE
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise _unreachable(name) from error
    except (HTTPError, OSError) as error:
        raise _unreachable(name, f" ({environ.get('HF_ENDPOINT') or 'the hub'}: {error})"[:200]) from error


def _unreachable(name: str, why: str = "") -> SurroundingsError:
    return SurroundingsError(
        f"the hub can't be reached or may not be asked, and the cache does not have the model{why}",
        where=name,
        advice="Check the network, HF_HUB_OFFLINE and HF_HOME, or name a directory or a config.json.",
    )


def hub_cache(environ: Mapping[str, str]) -> Path | None:
    """Return the hub's cache as huggingface_hub finds it; None to let it."""
    explicit = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    if explicit:
        return Path(explicit).expanduser()
    home = environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    cache = environ.get("XDG_CACHE_HOME")
    return Path(cache).expanduser() / "huggingface" / "hub" if cache else None


def _token(environ: Mapping[str, str]) -> str | None:
    return environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN") or None
