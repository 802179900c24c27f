"""One session of a study, put together: lock, result file, engine, proposer, loop."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tuner.analysis.figures import direction
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.events import Observer
from tuner.domain.study import StudySpec
from tuner.domain.trial import Provenance, Study
from tuner.proposal.proposer import open_proposer, storage_errors
from tuner.server.gpus import load_nvml
from tuner.store.engine import database_errors
from tuner.store.location import DatabaseLocation
from tuner.store.lock import writer_lock
from tuner.store.preflight import check_database, holds_results
from tuner.store.reader import open_reader
from tuner.store.writer import Store, open_store
from tuner.study.arithmetic import arithmetic_of
from tuner.study.file import spec_difference
from tuner.study.gate import Gate
from tuner.study.given import Given
from tuner.study.headstart import HeadStart
from tuner.study.loop import StudyLoop
from tuner.study.place import Place
from tuner.study.setting import PLATFORM_DEFAULTS, Setting, setting
from tuner.study.steady import steady
from tuner.study.trial import TrialRunner
from tuner.study.warmstart import Configurations, warm_start

Task = Callable[[StudyLoop], Awaitable[str]]
"""What a session does with its study."""

_SAME = ("device", "device_count", "vllm_version", "model_identity")
"""What must be the same for measurements to belong to one study."""


async def run_session(
    spec: StudySpec,
    location: DatabaseLocation,
    *,
    cwd: Path,
    environ: Mapping[str, str],
    notify: Observer,
    on_line: Callable[[str], None],
    task: Task = StudyLoop.run,
) -> str:
    """Run a study until its budget ends, from where it stands, or do something else with it.

    Args:
        spec: The study. One of this name that is stored must say the same, its budget apart.
        location: The result file; made where it does not exist.
        cwd: Where relative paths start.
        environ: The caller's environment.
        notify: Told of every phase.
        on_line: Told of the preparations, a line at a time.
        task: What to do once everything is ready.

    Returns:
        What the task says it did: why the study ended, in words.

    Raises:
        InputError: the study, its engine or the stored study of this name don't go together.
        SurroundingsError: the result file, the engine or the machine stand in the way.
        BreakerError: the study stopped itself.
    """
    check_database(location, for_writing=True)
    with writer_lock(location, spec.study):
        stored = stored_study(location, spec.study)
        check_same_study(stored, spec)
        warm = _warm_start(spec, stored, location, on_line)
        async with setting(spec, cwd=cwd, environ=environ, on_line=on_line) as ready:
            check_same_surroundings(stored, ready.provenance)
            with open_store(location) as store, database_errors(location), storage_errors():
                arithmetic = arithmetic_of(ready.spec, ready.info, environ)
                place = Place(ready, load_nvml(), work_dir=location.work_dir, environ=environ)
                given = Given(spec.candidates, warm, HeadStart(spec.search_space, ready.base_flags, arithmetic, notify))
                gate = Gate.of(ready, arithmetic)
                return await _run(ready, store, location, notify, place=place, gate=gate, given=given, task=task)


def _warm_start(
    spec: StudySpec, stored: Study | None, location: DatabaseLocation, on_line: Callable[[str], None]
) -> Configurations:
    """Return the warm start; a study that has begun goes on without it where the earlier one is gone."""
    try:
        return warm_start(spec, location, on_line)
    except (InputError, SurroundingsError) as error:
        if stored is None:
            raise
        on_line(f"no more warm start: {error.what}")
        return ()


async def _run(
    ready: Setting,
    store: Store,
    location: DatabaseLocation,
    notify: Observer,
    *,
    place: Place,
    gate: Gate,
    given: Given,
    task: Task,
) -> str:
    spec = ready.spec
    proposer = open_proposer(location.url, spec, [direction(name) for name in spec.objectives])
    if store.study(spec.study) is None:
        store.create_study(proposer.study_id, spec, ready.provenance, datetime.now(UTC))
    else:
        store.update_spec(proposer.study_id, spec)
    runner = TrialRunner(ready, place, store, location.work_dir / "logs" / spec.study, notify)
    with open_reader(location) as reader:
        loop = StudyLoop(ready, proposer, store, reader, runner, notify, gate=gate, given=given, now=steady())
        return await task(loop)


def stored_study(location: DatabaseLocation, name: str) -> Study | None:
    """Return the stored study of this name, None where there is none or nothing is in the result file yet."""
    if not holds_results(location):
        return None
    with open_reader(location) as reader:
        return reader.study(name)


def check_same_study(stored: Study | None, spec: StudySpec) -> None:
    """Refuse to mix measurements of two studies under one name.

    Raises:
        InputError: naming every difference.
    """
    if stored is None:
        return
    differences = spec_difference(stored.spec, _completed_like(stored.spec, spec))
    if differences:
        raise InputError(
            "a study of this name is stored with other settings:\n  " + "\n  ".join(differences),
            where=spec.study,
            advice="give this one another name (`study:`, --study), or go on with the stored one (tuner resume)",
        )


def _completed_like(stored: StudySpec, spec: StudySpec) -> StudySpec:
    """Return the spec with the platform's defaults that the stored one was completed with."""
    platform = {name: stored.engine.flags[name] for name in PLATFORM_DEFAULTS if name in stored.engine.flags}
    flags = {**platform, **spec.base_flags()}
    return spec.model_copy(update={"engine": spec.engine.model_copy(update={"flags": flags})})


def check_same_surroundings(stored: Study | None, found: Provenance) -> None:
    """Refuse to go on with a study on another device, engine version or model.

    Raises:
        InputError: naming every difference.
    """
    if stored is None:
        return
    differences = [
        f"{name}: {was} -> {now}"
        for name in _SAME
        if (was := getattr(stored.provenance, name)) is not None
        and (now := getattr(found, name)) is not None
        and was != now
    ]
    if differences:
        raise InputError(
            "the study was measured on something else:\n  " + "\n  ".join(differences),
            where=stored.name,
            advice="measurements of different engines or devices are never mixed: start a study of another name",
        )
