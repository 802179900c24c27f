"""What every trial of a study has in common, found out and checked before trial 0: no launch is spent on a mistake.

Owns the questions to the engine (its version, its flags, how it resolves the defaults) and to the model. Starts no
server.
"""

import difflib
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tuner import __version__
from tuner.domain.errors import InputError
from tuner.domain.flags import Flags, FlagValue
from tuner.domain.study import StudySpec
from tuner.domain.trial import Provenance
from tuner.load.traces import read_trace
from tuner.server import ports
from tuner.server.command import engine_environment
from tuner.server.diagnosis import infeasible
from tuner.server.engine import EngineInfo, EngineProbe, Resolution, find_interpreter
from tuner.server.provenance import device_provenance
from tuner.server.weights import fetch_weights, model_identity, vocabulary_size
from tuner.space.feasibility import check_possible
from tuner.study.deployment import CPU_MEMORY_UTILIZATION

PLATFORM_DEFAULTS = ("gpu-memory-utilization",)
"""Flags that the platform may fix where the study does not."""
_EXPLAINING = ("max-num-seqs", "max-num-batched-tokens")
_FALLBACK_VOCABULARY = 1000
"""Token ids below this exist in every model that hides the size of its vocabulary."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A study ready to run: its spec with all fixed flags spelled out, and the engine that answers for it."""

    spec: StudySpec
    python: Path
    info: EngineInfo
    probe: EngineProbe
    vocabulary: int
    provenance: Provenance

    @property
    def base_flags(self) -> dict[str, FlagValue]:
        """The flags of every launch, trial 0 included."""
        return self.spec.base_flags()

    async def resolve(self, flags: Flags) -> Resolution:
        """Return every setting that the study names, as vLLM resolves it for a trial's own flags.

        The names are the same for all trials, so that equal values mean equal servers. The scheduler's two limits are
        always among them: what a load point shows is explained by them.
        """
        names = {*_EXPLAINING, *self.spec.search_space.parameters, *self.base_flags, *flags}
        names.update(*self.spec.candidates)
        return await self.probe.resolve(self.spec.model, {**self.base_flags, **flags}, sorted(names))


def fingerprint(resolved: Mapping[str, FlagValue | None]) -> str:
    """Return a short hash of a resolved configuration: equal hashes mean the same server."""
    return hashlib.sha256(json.dumps(dict(resolved), sort_keys=True).encode()).hexdigest()[:16]


@asynccontextmanager
async def setting(
    spec: StudySpec, *, cwd: Path, environ: Mapping[str, str], on_line: Callable[[str], None]
) -> AsyncGenerator[Setting]:
    """Find the engine, check the study against it, fetch the weights.

    Args:
        spec: The study.
        cwd: Where relative paths start and `.venv-vllm` is looked for.
        environ: The caller's environment.
        on_line: Told what is being done, a line at a time.

    Raises:
        InputError: a flag that this engine does not have, a configuration that it refuses, a model that is not there, a
            trace that is no longer there or has changed.
        SurroundingsError: no interpreter with vLLM, or a fixed port that is in use.
    """
    if spec.workload.trace is not None:
        read_trace(spec.workload.trace, at_most=1)
    ports.reserve(spec.engine.port).close()
    python = find_interpreter(spec.engine.vllm_python, cwd=cwd, environ=environ)
    on_line(f"asking {python} for vLLM's version and flags")
    env = engine_environment(environ, spec.engine.env, gpus=spec.engine.gpus)
    async with EngineProbe(python, env) as probe:
        spec = with_platform_defaults(spec, probe.info)
        check_flags(spec, probe.info.flags)
        check_possible(spec.search_space, spec.base_flags())
        on_line(f"looking for the weights of {spec.model}")
        await fetch_weights(python, spec.model, env, on_line=on_line)
        ready = Setting(
            spec=spec,
            python=python,
            info=probe.info,
            probe=probe,
            vocabulary=vocabulary_size(spec.model) or _FALLBACK_VOCABULARY,
            provenance=_provenance(spec, probe.info),
        )
        await _check_given_configurations(ready)
        yield ready


def with_platform_defaults(spec: StudySpec, info: EngineInfo) -> StudySpec:
    """Return the spec with the fixed flags spelled out: `max-model-len`, and on a CPU a memory share that starts."""
    flags = spec.base_flags()
    if info.platform == "cpu" and "kv-cache-memory-bytes" not in flags:
        flags.setdefault("gpu-memory-utilization", CPU_MEMORY_UTILIZATION)
    return spec.model_copy(update={"engine": spec.engine.model_copy(update={"flags": flags})})


def check_flags(spec: StudySpec, known: frozenset[str]) -> None:
    """Refuse a flag that the engine does not have.

    Raises:
        InputError: naming the flag, where it stands and the nearest that exists.
    """
    places: list[tuple[str, Iterable[str]]] = [
        ("engine.flags", spec.engine.flags),
        ("search_space.parameters", spec.search_space.parameters),
        *((f"candidates[{index}]", flags) for index, flags in enumerate(spec.candidates)),
    ]
    for where, names in places:
        for name in names:
            if name.partition(".")[0] not in known:
                raise _unknown_flag(name, where, known)


def _unknown_flag(name: str, where: str, known: frozenset[str]) -> InputError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"the nearest it has is {near[0]}" if near else "see `vllm serve --help=all`"
    return InputError(f"this vLLM has no flag --{name}; {hint}", where=where)


async def _check_given_configurations(ready: Setting) -> None:
    given: list[tuple[str, Flags]] = [("engine.flags", {})]
    given += [(f"candidates[{index}]", flags) for index, flags in enumerate(ready.spec.candidates)]
    for where, flags in given:
        resolution = await ready.resolve(flags)
        if resolution.error is not None:
            raise InputError(
                f"vLLM refuses it: {resolution.error}", where=where, advice=infeasible(resolution.error).advice
            )


def _provenance(spec: StudySpec, info: EngineInfo) -> Provenance:
    return device_provenance(spec.engine.gpus, on_gpu=info.has_gpu).model_copy(
        update={
            "vllm_version": info.version,
            "python": info.python_version,
            "tuner_version": __version__,
            "model_identity": model_identity(spec.model),
        }
    )
