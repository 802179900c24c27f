"""What every container form has in common: the image, what is mounted, which environment reaches the engine."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tuner.deploy.deployable import Deployable
from tuner.domain.flags import FlagValue

CACHE = "/root/.cache/huggingface"
"""The hub's cache inside vLLM's images."""
MODEL = "/model"
"""Where a local directory is mounted."""
SHM_GB = 8
"""Shared memory: what it is not used for costs nothing, and with too little NCCL dies."""
HF_TOKEN = "HF_TOKEN"  # noqa: S105  # the variable's name
_GPU_IMAGE = "vllm/vllm-openai"
_CPU_IMAGE = "vllm/vllm-openai-cpu"
_RELEASE = re.compile(r"\d+\.\d+\.\d+(?:rc\d+|\.post\d+)?")
_PLACE = re.compile(r"(?:^|_)(?:PATH|HOME|DIR|CACHE|ROOT|FILE|TMPDIR|PRELOAD)$")
"""Ends of the names of variables that say where something is on the machine that was measured."""
_DEVICES = frozenset({"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"})
"""A container counts the GPUs that it is given from 0."""
_PATH_LIKE = ("/", "./", "../", "~")


@dataclass(frozen=True, slots=True)
class Image:
    """An image, and what is uncertain about it."""

    name: str
    notes: tuple[str, ...] = ()


def image(deployable: Deployable) -> Image:
    """Return vLLM's published image of the version that was measured."""
    repository, suffix = (_GPU_IMAGE, "") if deployable.on_gpu else (_CPU_IMAGE, "-x86_64")
    notes = () if deployable.on_gpu else ("the image is that of vLLM's CPU build; on ARM its tag ends in -arm64.",)
    version = (deployable.provenance.vllm_version or "").partition("+")[0]
    if _RELEASE.fullmatch(version):
        return Image(f"{repository}:v{version}{suffix}", notes)
    unpublished = f"vLLM {version or 'of an unknown version'} has no published image: name one of your own build."
    return Image(f"{repository}:latest{suffix}", (*notes, unpublished))


def environment(deployable: Deployable) -> dict[str, str]:
    """Return the study's environment as far as it means the same inside a container."""
    return {name: value for name, value in deployable.environment.items() if not _is_of_host(name)}


def arguments(deployable: Deployable, host: str) -> list[str]:
    """Return the arguments of `vllm serve` inside a container."""
    return deployable.serve_arguments(host, model=MODEL if deployable.is_directory else None)


def notes(deployable: Deployable) -> Iterator[str]:
    """Yield what a reader of any container form must know."""
    yield from image(deployable).notes
    if deployable.is_directory:
        yield f"the model is the directory {deployable.model} of the machine that was measured, mounted read-only."
    left_out = [name for name in deployable.environment if _is_of_host(name)]
    if left_out:
        yield f"left out of the study's environment, being about the machine that was measured: {', '.join(left_out)}."
    paths = [name for name, value in deployable.flags.items() if _is_path(value)]
    if paths:
        yield f"{', '.join(paths)}: a path of the machine that was measured; mount it, or it is not there."


def _is_of_host(name: str) -> bool:
    return name in _DEVICES or _PLACE.search(name) is not None


def _is_path(value: FlagValue) -> bool:
    return isinstance(value, str) and value.startswith(_PATH_LIKE)
