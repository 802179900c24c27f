"""From a study's answer to what is deployed: the measured configuration, where it ran, how long it took to start."""

import os
from pathlib import Path

from tuner.analysis.best import Answer
from tuner.deploy.deployable import Deployable
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Launch, Provenance, Purpose, Study, Trial

_REVISION_LENGTH = 40
"""Of a hub revision; the identity of a directory is shorter (`tuner.server.weights`)."""
_SERVE = "serve"
_HEAD = 3
"""Interpreter, `-m`, module."""


def deployable(study: Study, trial: Trial, answer: Answer, *, cwd: Path) -> Deployable:
    """Return what to deploy for an answer.

    Args:
        study: where it was measured.
        trial: the one that the answer names, with its launches.
        answer: the choice, its capacity, its replicas.
        cwd: what relative paths of the study are taken to be relative to.
    """
    spec = study.spec
    launches = [launch for launch in trial.launches if launch.ready_after is not None]
    launch = next(reversed([each for each in launches if each.purpose is Purpose.MEASURE]), None)
    provenance = launch.provenance if launch is not None else study.provenance
    is_directory = _is_directory(spec.model, provenance)
    model = _absolute(spec.model, cwd) if is_directory else spec.model
    return Deployable(
        study=study.name,
        trial=trial.number,
        model=model,
        is_directory=is_directory,
        flags={**spec.base_flags(), **trial.flags},
        on_gpu=provenance.driver is not None,
        provenance=provenance,
        target_rps=answer.target_rps,
        headroom=answer.headroom_wanted,
        slos=answer.slos,
        capacity=_capacity(trial, answer),
        replicas=answer.replicas,
        start_limit=spec.engine.start_timeout,
        started_in=max((each.ready_after or 0.0 for each in launches), default=None),
        env=spec.engine.env,
        gpus=spec.engine.gpus,
        python=_program(launch, cwd) if launch is not None else (),
        cautions=() if not is_directory or Path(model).is_dir() else (f"there is no directory {model} here.",),
    )


def _capacity(trial: Trial, answer: Answer) -> Capacity:
    return Capacity(
        rps=answer.capacity_rps,
        lower_rps=answer.capacity_lower_rps,
        upper_rps=answer.capacity_upper_rps,
        confidence=trial.capacity.confidence if trial.capacity is not None else 0.9,
    )


def _is_directory(model: str, provenance: Provenance) -> bool:
    if provenance.model_identity is not None:
        return len(provenance.model_identity) != _REVISION_LENGTH
    return model.startswith((".", "/", "~")) or model.count("/") > 1


def _absolute(path: str, cwd: Path) -> str:
    """Return a path without resolving links: that of a virtual environment's interpreter must stay as it is."""
    return os.path.normpath(cwd / Path(path).expanduser())


def _program(launch: Launch, cwd: Path) -> tuple[str, ...]:
    """Return what a launch ran, without its arguments."""
    if len(launch.argv) < _HEAD:
        return ()
    python, *module = launch.argv[:_HEAD]
    serve = (_SERVE,) if _SERVE in launch.argv[_HEAD : _HEAD + 1] else ()
    return (_absolute(python, cwd), *module, *serve)
