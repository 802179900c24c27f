"""`tuner run` and `tuner resume`: a study from the command line, with signals that end it cleanly."""

import os
import signal
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuner.cli.options import DEFAULT_DATABASE, Database, SloOptions, parse_slos
from tuner.cli.signals import SIGNALLED, until_signalled
from tuner.cli.telling import (
    LOOPBACK,
    MetricsHost,
    MetricsPort,
    Notify,
    Telling,
    database_option,
    resume_command,
    telling,
)
from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from tuner.domain.events import Event
    from tuner.domain.study import StudySpec
    from tuner.study.session import Task

StudyFile = Annotated[Path | None, typer.Argument(help="The study file (see `tuner init`).", metavar="[STUDY.yaml]")]
Trials = Annotated[int | None, typer.Option("--trials", help="End after this many trials, trial 0 included.")]
Hours = Annotated[float | None, typer.Option("--hours", help="End after this many hours of measuring.")]
Until = Annotated[str | None, typer.Option("--until", help="End at this local time, such as 07:00.", metavar="HH:MM")]
VllmPython = Annotated[str | None, typer.Option("--vllm-python", help="The interpreter that has vLLM.", metavar="PATH")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run", epilog=_RUN_EXAMPLES)(run)
    app.command("resume", epilog=_RESUME_EXAMPLES)(resume)


_RUN_EXAMPLES = """Examples:

tuner run study.yaml --until 07:00

tuner run study.yaml --warm-start a100-night --warm-start-db a100.db

tuner run --refine --study overnight --slo ttft_p95=300ms

tuner run --model Qwen/Qwen3-8B --search-space scheduler --target-rps 10 --slo ttft_p95=500ms --hours 8
"""
_RESUME_EXAMPLES = """Examples:

tuner resume qwen3-8b-scheduler

tuner resume qwen3-8b-scheduler --trials 90
"""


def run(  # options are what a command has
    file: StudyFile = None,
    study: Annotated[str | None, typer.Option("--study", help="The study's name.", metavar="NAME")] = None,
    model: Annotated[str | None, typer.Option("--model", help="A local directory or a hub name.")] = None,
    search_space: Annotated[
        str | None, typer.Option("--search-space", help="A shipped space by name, or a file.", metavar="SPACE")
    ] = None,
    target_rps: Annotated[float | None, typer.Option("--target-rps", help="Requests/s the study is for.")] = None,
    slo: SloOptions = None,
    objective: Annotated[
        list[str] | None,
        typer.Option("--objective", help="capacity_rps, or a percentile such as ttft_p95; up to three."),
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option("--candidate", help="Flags to measure right after the defaults, as one quoted line."),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option("--warm-start", help="An earlier study whose best are measured anew.", metavar="STUDY"),
    ] = None,
    warm_start_db: Annotated[
        str | None,
        typer.Option("--warm-start-db", help="The earlier study's result file; else this one's.", metavar="FILE"),
    ] = None,
    engine_flags: Annotated[
        str | None, typer.Option("--engine-flags", help="Flags of every launch, as one quoted line.", metavar="FLAGS")
    ] = None,
    vllm_python: VllmPython = None,
    workload: Annotated[
        str | None,
        typer.Option("--workload", help="A shipped workload by name (see `tuner workloads`), or a file."),
    ] = None,
    input_tokens: Annotated[int | None, typer.Option("--input-tokens", help="Prompt tokens per request.")] = None,
    output_tokens: Annotated[int | None, typer.Option("--output-tokens", help="Output tokens per request.")] = None,
    sampler: Annotated[str | None, typer.Option("--sampler", help="tpe, random or gp.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")] = None,
    trials: Trials = None,
    hours: Hours = None,
    until: Until = None,
    notify: Notify = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = LOOPBACK,
    db: Database = DEFAULT_DATABASE,
    *,
    refine: Annotated[
        bool, typer.Option("--refine", help="Only measure what the stored study leaves open under --slo.")
    ] = False,
) -> None:
    """Run a study: start vLLM with one configuration after another, load it, measure it, store it.

    Trial 0 is vLLM's own defaults. A study of this name that is stored already goes on to its budget. Flags override
    the file. With --refine no trial is added: the best stored ones get the load points that decide what they sustain
    under the SLOs of --slo (`tuner best --slo` says which those are).
    """
    if refine:
        asked = Telling(notify, metrics_port, metrics_host)
        _refine(file, study, slo, vllm_python, db, asked)
        return
    overrides: dict[str, Any] = {
        "study": study,
        "model": model,
        "search_space": search_space,
        "target_rps": target_rps,
        "slos": slo_mapping(slo),
        "objectives": objective,
        "candidates": candidate,
        "warm_start": {"study": warm_start, "db": _from_here(warm_start_db)},
        "engine": {"flags": engine_flags, "vllm_python": vllm_python},
        "workload": {"base": _from_here(workload), "input_tokens": input_tokens, "output_tokens": output_tokens},
        "sampler": {"name": sampler, "seed": seed},
        "budget": {"trials": trials, "hours": hours, "until": until},
    }
    run_study(spec_from(file, overrides), db, Telling(notify, metrics_port, metrics_host))


def resume(
    study: Annotated[str, typer.Argument(help="The study's name.", metavar="STUDY")],
    trials: Trials = None,
    hours: Hours = None,
    until: Until = None,
    vllm_python: VllmPython = None,
    notify: Notify = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = LOOPBACK,
    db: Database = DEFAULT_DATABASE,
) -> None:
    """Go on with a stored study after any stop, planned or not, up to its budget."""
    from tuner.store.location import DatabaseLocation
    from tuner.store.reader import open_reader

    location = DatabaseLocation.parse(db)
    with open_reader(location) as reader:
        stored = reader.study(study)
        names = ", ".join(each.name for each in reader.studies()) or "none"
    if stored is None:
        raise InputError(f"no study named {study!r} in it; there are: {names}", where=location.display)
    spec = stored.spec
    budget = {name: value for name, value in (("trials", trials), ("hours", hours), ("until", until)) if value}
    run_study(with_changes(spec, budget, vllm_python), db, Telling(notify, metrics_port, metrics_host))


def _refine(
    file: Path | None, study: str | None, slo: list[str] | None, vllm_python: str | None, db: str, asked: Telling
) -> None:
    from tuner.cli.stored import chosen_study
    from tuner.space.yaml_file import read_yaml

    name = study or (str(read_yaml(file).get("study", "")) if file else None)
    with chosen_study(db, name) as (_, chosen):
        slos = parse_slos(slo) or chosen.spec.slos
    run_study(with_changes(chosen.spec, {}, vllm_python), db, asked, lambda loop: loop.refine(slos))


def _from_here(named: str | None) -> str | None:
    """Return a file as an absolute path: paths of a study file start at that file, those of a flag here."""
    return str(Path(named).resolve()) if named is not None and Path(named).is_file() else named


def slo_mapping(texts: list[str] | None) -> dict[str, str] | None:
    """Return `--slo` options as the study file writes them.

    Raises:
        InputError: one has no limit.
    """
    if not texts:
        return None
    parted = [text.partition("=") for text in texts]
    if any(not equals for _, equals, _ in parted):
        raise InputError("an SLO has a name and a limit, such as ttft_p95=500ms", where="--slo")
    return {name: limit for name, _, limit in parted}


def spec_from(file: Path | None, overrides: dict[str, Any]) -> "StudySpec":
    """Return the study of a file with the command line's flags laid over it, or of the flags alone.

    Raises:
        InputError: neither says enough, or one says something impossible.
    """
    from tuner.space.yaml_file import read_yaml
    from tuner.study.file import study_from

    data = dict(read_yaml(file)) if file is not None else {}
    if file is None and not overrides.get("model"):
        raise InputError("name a study file, or at least --model, --search-space and --slo", where="tuner run")
    data = _laid_over(data, overrides)
    if "study" not in data:
        data["study"] = default_name(data)
    return study_from(
        data, source=str(file) if file else "command line", relative_to=file.parent if file else Path.cwd()
    )


_BARE = {"warm_start": "study"}
"""What the one word means that a section may be, where it isn't the base that flags are laid over."""


def _laid_over(data: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(data)
    for key, value in overrides.items():
        if isinstance(value, dict) and key != "slos":
            given = {name: part for name, part in value.items() if part is not None}  # pyright: ignore[reportUnknownVariableType]
            before: Any = merged.get(key) or {}
            if given:  # a section that is named, such as `workload: chat`, is what the flags start from
                merged[key] = {**(before if isinstance(before, dict) else {_BARE.get(key, "base"): before}), **given}
        elif value:
            merged[key] = value
    return merged


def default_name(data: dict[str, Any]) -> str:
    """Return a study's name made of its model and search space: `qwen3-8b-scheduler`."""
    parts = [Path(str(data.get("model", "study"))).name, Path(str(data.get("search_space", ""))).stem]
    kept = ["".join(letter if letter.isalnum() or letter in "._" else "-" for letter in part) for part in parts]
    return "-".join(part.strip("-.").lower() for part in kept if part)[:64] or "study"


def with_changes(spec: "StudySpec", budget: dict[str, Any], vllm_python: str | None) -> "StudySpec":
    """Return a stored study's spec with what may change of it replaced where it is given, validated anew.

    Args:
        spec: The stored one.
        budget: Bounds by name.
        vllm_python: The interpreter that has vLLM now.

    Raises:
        InputError: a new value is impossible.
    """
    from pydantic import ValidationError

    from tuner.domain.problems import explain
    from tuner.domain.study import StudySpec

    data = spec.model_dump()
    data["budget"] |= budget
    if vllm_python:
        data["engine"]["vllm_python"] = vllm_python
    try:
        return StudySpec.model_validate(data)
    except ValidationError as error:
        raise explain(error, source="command line", model=StudySpec) from error


def run_study(spec: "StudySpec", db: str, asked: Telling, task: "Task | None" = None) -> None:
    """Run a session of a study on this terminal until its task is done, or a signal ends it."""
    import asyncio

    from tuner.cli.console import stderr
    from tuner.cli.progress import progress
    from tuner.store.location import DatabaseLocation
    from tuner.study.loop import StudyLoop
    from tuner.study.session import run_session

    console = stderr()
    location, resume = DatabaseLocation.parse(db), resume_command(spec.study, db)
    with (
        progress(console, now=lambda: datetime.now().astimezone()) as (show, say),
        telling(asked, spec, resume, say) as teller,
    ):

        def observe(event: "Event") -> None:
            show(event)
            teller.observe(event)

        session = run_session(
            spec, location, cwd=Path.cwd(), environ=os.environ, notify=observe, on_line=say, task=task or StudyLoop.run
        )
        ended = asyncio.run(until_signalled(session))
        if isinstance(ended, signal.Signals):
            teller.stopped_by(ended.name)
    if isinstance(ended, signal.Signals):
        console.print(f"Stopped. Nothing measured is lost; `{resume}` goes on from here.", soft_wrap=True)
        raise typer.Exit(SIGNALLED + ended)
    console.print(
        f"`tuner best --study {spec.study} --target-rps {spec.target_rps:g}{database_option(db)}` says what to deploy.",
        soft_wrap=True,
    )
