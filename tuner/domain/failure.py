"""How a trial can fail, and whom the failure teaches.

A failure that the configuration caused is told to the sampler as a violated constraint; one that the surroundings
caused is retried within a bound and never told. Neither is ever a number.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

from tuner.domain.base import Frozen
from tuner.domain.inert import inert


class FailureKind(StrEnum):
    """What happened, in the order in which a log is searched (docs/failures.md lists the texts)."""

    INVALID_ARGS = "invalid_args"
    """vLLM refused the flags or their combination."""
    MODEL_NOT_FOUND = "model_not_found"
    UNSUPPORTED = "unsupported"
    """The model, quantisation or dtype can't run on this device."""
    KV_TOO_SMALL = "kv_too_small"
    """The memory left for the KV cache can't hold one request."""
    GPU_BUSY = "gpu_busy"
    """Memory on the device belongs to somebody else."""
    OOM_START = "oom_start"
    OOM_RUN = "oom_run"
    PORT_IN_USE = "port_in_use"
    ENGINE_DEAD = "engine_dead"
    """The engine died after it was ready, or broke its streams."""
    ENGINE_HUNG = "engine_hung"
    """No token for too long while requests waited."""
    CUDA_ERROR = "cuda_error"
    MACHINE = "machine"
    """The machine's limits: disk, shared memory, open files, permissions."""
    COMPILE_CACHE = "compile_cache"
    START_TIMEOUT = "start_timeout"
    INFEASIBLE = "infeasible"
    """Refused before a launch: a constraint of the search space or one of vLLM's own rules."""
    LOAD_FAILED = "load_failed"
    """Too many requests failed for the figures to mean anything."""
    CLIENT_FAILED = "client_failed"
    """The load generator itself failed."""
    INTERRUPTED = "interrupted"
    """The tuner was stopped or killed while the trial ran."""
    UNKNOWN = "unknown"

    @property
    def is_configuration_fault(self) -> bool:
        """Whether the configuration caused it, so that the sampler should learn from it."""
        return self in _CONFIGURATION_FAULTS


_CONFIGURATION_FAULTS = frozenset(
    {
        FailureKind.INVALID_ARGS,
        FailureKind.UNSUPPORTED,
        FailureKind.KV_TOO_SMALL,
        FailureKind.OOM_START,
        FailureKind.OOM_RUN,
        FailureKind.ENGINE_DEAD,
        FailureKind.ENGINE_HUNG,
        FailureKind.START_TIMEOUT,
        FailureKind.INFEASIBLE,
        FailureKind.LOAD_FAILED,
    }
)


Line = Annotated[str, AfterValidator(inert)]
"""One line of text that steers no terminal, whatever log or result file it comes from."""


class Failure(Frozen):
    """A classified failure: its kind, the line that proves it, and what to do about it."""

    kind: FailureKind
    evidence: Line = ""
    """The log line, or the sentence of ours, that proves the kind. One line."""
    advice: Line = ""
    """What the user can do, in their words; empty where nothing sensible is known."""
