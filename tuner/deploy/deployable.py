"""What is deployed: a measured configuration, where it comes from, and what its figures say. Handed in whole."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tuner.domain.flags import FlagValue, to_arguments
from tuner.domain.measurement import Capacity
from tuner.domain.secrets import holds_password, is_secret_name
from tuner.domain.trial import Provenance

PORT = 8000
"""vLLM's own default."""
LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104  # inside a container, whose port is published on the loopback or by a Service
START_MARGIN = 3.0
"""How many times the measured start a start may take: a cold compile cache and a busy disk cost one or two."""
SHORTEST_START_S = 120.0
DOWNLOAD_S = 1800.0
"""What the first start of a hub model may take on top: the study's had its weights on disk."""
_PARALLEL = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")
_NAMES_HUB = ("tokenizer", "hf-config-path", "lora-modules", "speculative-config", "spec-model")
"""Flags that may name another model of the hub."""
_LONGEST_NAME = 50


@dataclass(frozen=True, slots=True)
class Deployable:
    """One configuration of a study, with what its answer says of it."""

    study: str
    trial: int
    model: str
    """A hub name, or the absolute path of a directory on the machine that was measured."""
    is_directory: bool
    """Whether `model` is such a path."""
    flags: Mapping[str, FlagValue]
    """All of them: those of every launch of the study, and the trial's own."""
    on_gpu: bool
    provenance: Provenance
    """Of the launch that was measured."""
    target_rps: float
    headroom: float
    """How many times the target rate must be sustained."""
    slos: tuple[str, ...]
    capacity: Capacity
    """Of one replica."""
    replicas: int | None
    """How many hold the target rate times the headroom; None where no measured rate held."""
    start_limit: float
    """Seconds that a launch of the study might take."""
    started_in: float | None = None
    """Seconds that this configuration took to answer first, at its slowest; None where unknown."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """The study's own environment of the engine."""
    gpus: tuple[int, ...] | None = None
    """The GPUs that the study's launches saw; None for all."""
    python: tuple[str, ...] = ()
    """The interpreter and the module that were measured, without arguments; empty where unknown."""
    cautions: tuple[str, ...] = ()
    """What whoever deploys it must know beside the figures, in sentences."""

    @property
    def name(self) -> str:
        """A name for what is deployed, fit for DNS, containers, units and labels: `vllm-night`."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.study.lower())[:_LONGEST_NAME].strip("-")
        return f"vllm-{slug}" if slug else "vllm"

    @property
    def served_name(self) -> str | None:
        """What clients call the model; None leaves it to vLLM, which takes the hub name."""
        return PurePosixPath(self.model).name or "model" if self.is_directory else None

    @property
    def gpu_count(self) -> int:
        """GPUs of one replica, by the flags that spread a model; 0 for a CPU engine."""
        sizes = (self.flags.get(flag, 1) for flag in _PARALLEL)
        return math.prod(size if isinstance(size, int) else 1 for size in sizes) if self.on_gpu else 0

    @property
    def chosen_gpus(self) -> tuple[int, ...] | None:
        """The GPUs that the study names, as many as one replica needs; None where it names too few, or none."""
        named = self.gpus or ()
        return named[: self.gpu_count] if 0 < self.gpu_count <= len(named) else None

    @property
    def needs_hub(self) -> bool:
        """Whether something has to be fetched, or read from the hub's cache."""
        return not self.is_directory or any(flag.startswith(_NAMES_HUB) for flag in self.flags)

    @property
    def start_within(self) -> int:
        """Seconds after which a start has failed, the download of the weights left out."""
        measured = self.start_limit if self.started_in is None else self.started_in * START_MARGIN
        return math.ceil(max(measured, SHORTEST_START_S))

    @property
    def first_start_within(self) -> int:
        """Seconds after which a start has failed where the weights may not be there yet."""
        return self.start_within + (math.ceil(DOWNLOAD_S) if self.needs_hub else 0)

    @property
    def environment(self) -> dict[str, str]:
        """The study's own environment, sorted; what is or holds a secret by its looks is never in it."""
        return {
            name: value
            for name, value in sorted(self.env.items())
            if not is_secret_name(name) and not holds_password(value)
        }

    @property
    def device_environment(self) -> dict[str, str]:
        """What makes an engine outside a container see the GPUs that the study saw."""
        if self.chosen_gpus is None:
            return {}
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(map(str, self.chosen_gpus))}

    def owned_flags(self, host: str) -> dict[str, FlagValue]:
        """Return the flags of its own that a server needs beside those that were measured."""
        owned: dict[str, FlagValue] = {"host": host, "port": PORT}
        return owned | ({"served-model-name": self.served_name} if self.served_name else {})

    def serve_arguments(self, host: str, *, model: str | None = None) -> list[str]:
        """Return the arguments of `vllm serve`; `model` is where a container has it."""
        return [model or self.model, *to_arguments(self.owned_flags(host)), *to_arguments(self.flags)]
