"""`tuner check`: what a study would start, without starting it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tuner.domain.base import Frozen
from tuner.domain.flags import Flags, shell_line
from tuner.domain.study import StudySpec
from tuner.proposal.proposer import rehearsal
from tuner.server.command import server_argv
from tuner.space.feasibility import refusal
from tuner.study.arithmetic import arithmetic_of
from tuner.study.headstart import HeadStart
from tuner.study.setting import Setting, setting

_SAMPLED = 2
_FREE_PORT = 0
"""Shown where a launch will take a free port."""


class Command(Frozen):
    """One server command of a study."""

    title: str
    line: str
    """As a shell would take it; a port of 0 and NAME stand for what is chosen at the launch."""


class Preview(Frozen):
    """What a valid study would start."""

    vllm_version: str
    device: str
    commands: tuple[Command, ...]


async def preview(spec: StudySpec, *, cwd: Path, environ: Mapping[str, str], on_line: Callable[[str], None]) -> Preview:
    """Check a study against its engine and return the commands of trial 0, all that is given and two sampled trials.

    The planner's suggestions may still be corrected by what trial 0 measures.

    Raises:
        InputError: the study can't run as it is.
        SurroundingsError: no interpreter with vLLM.
    """
    async with setting(spec, cwd=cwd, environ=environ, on_line=on_line) as ready:
        trials: list[tuple[str, Flags]] = [("trial 0, vLLM's defaults", {})]
        trials += [(f"candidate {index}", flags) for index, flags in enumerate(spec.candidates, start=1)]
        trials += [(f"suggested by the planner ({index})", flags) for index, flags in _suggested(ready, environ)]
        sampled = _first_sampled(ready, after=len(trials))
        trials += [(f"a sampled trial ({index} of {_SAMPLED})", flags) for index, flags in enumerate(sampled, start=1)]
        return Preview(
            vllm_version=ready.info.version,
            device=ready.provenance.device or "unknown device",
            commands=tuple(Command(title=title, line=_line(ready, flags)) for title, flags in trials),
        )


def _suggested(ready: Setting, environ: Mapping[str, str]) -> Iterator[tuple[int, Flags]]:
    arithmetic = arithmetic_of(ready.spec, ready.info, environ)
    head_start = HeadStart(ready.spec.search_space, ready.base_flags, arithmetic, lambda _: None)
    yield from enumerate(head_start(()), start=1)


def _first_sampled(ready: Setting, *, after: int) -> list[Flags]:
    """Return the first configurations that the study's sampler would launch."""
    proposer = rehearsal(ready.spec, after=after)
    found: list[Flags] = []
    while len(found) < _SAMPLED:
        flags = proposer.ask().flags
        if refusal(ready.spec.search_space, flags, ready.base_flags) is None:
            found.append(flags)
    return found


def _line(ready: Setting, flags: Flags) -> str:
    argv = server_argv(
        str(ready.python),
        ready.info.entrypoint,
        ready.spec.model,
        {**ready.base_flags, **flags},
        host="127.0.0.1",
        port=ready.spec.engine.port or _FREE_PORT,
        served_name="NAME",
    )
    return shell_line(argv)
