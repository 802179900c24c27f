"""A model's name to its shape: find the files, read the configuration and the headers, compute the rest."""

from collections.abc import Mapping

from tuner.domain.model import ModelShape
from tuner.models.shape import model_shape
from tuner.models.source import open_source


def read_model(name: str, *, dtype: str | None = None, environ: Mapping[str, str], offline: bool = False) -> ModelShape:
    """Return what arithmetic needs to know of a model.

    Args:
        name: a local directory, a config.json, or a hub name.
        dtype: as vLLM's `--dtype`; None for vLLM's choice.
        environ: HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_TOKEN and HF_ENDPOINT are honoured.
        offline: ask nothing of the network; the hub's cache is used.

    Raises:
        InputError: no such model, a configuration that lacks what is needed, a dtype that is none.
        SurroundingsError: the hub can't be reached and has nothing cached, or a file can't be read.
    """
    source = open_source(name, environ=environ, offline=offline)
    shape = model_shape(source.config, name=name, where=source.where, dtype=dtype, tensors=source.tensors)
    return shape.model_copy(update={"notes": (*shape.notes, source.note)}) if source.note else shape
