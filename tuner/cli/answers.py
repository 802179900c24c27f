"""`tuner best`, `studies`, `trials`, `show` and `pareto`: answers from a result file, also while a study is running.

They read with SQL alone and import neither Optuna nor Alembic.
"""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.options import DEFAULT_DATABASE, Database, Json, SloOptions, StudyOption, parse_slos
from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Generator

    from tuner.domain.trial import Study
    from tuner.store.reader import Reader

_BEST_EXAMPLES = """Examples:

tuner best --target-rps 10

tuner best --target-rps 10 --slo ttft_p95=300ms --headroom 3 --json
"""
_PARETO_EXAMPLES = """Examples:

tuner pareto

tuner pareto --metric capacity_rps --metric ttft_p95 --metric tpot_p95
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("best", epilog=_BEST_EXAMPLES)(best)
    app.command("studies", epilog="Example: tuner studies --db results.db")(studies)
    app.command("trials", epilog="Example: tuner trials --study quickstart")(trials)
    app.command("show", epilog="Example: tuner show 3")(show)
    app.command("pareto", epilog=_PARETO_EXAMPLES)(pareto)


def best(
    target_rps: Annotated[float, typer.Option("--target-rps", help="Requests per second to serve.", min=1e-9)],
    slo: SloOptions = None,
    headroom: Annotated[
        float, typer.Option("--headroom", help="How many times the target rate must be sustained.", min=1.0)
    ] = 2.0,
    study: StudyOption = None,
    db: Database = DEFAULT_DATABASE,
    *,
    as_json: Json = False,
) -> None:
    """Name the configuration to deploy for a target rate, with its evidence and the `vllm serve` line.

    It sustains the target rate times the headroom within the SLOs (the study's own, unless --slo is given), at the best
    latency at the target rate. Where none does, the one with the highest capacity, and how many replicas would.
    """
    from tuner.cli.console import print_json, stdout
    from tuner.cli.tables import print_answer
    from tuner.study.answer import best_answer

    slos = parse_slos(slo)
    with _chosen(db, study) as (reader, chosen):
        found = best_answer(
            chosen,
            reader.trials(chosen.id),
            target_rps=target_rps,
            headroom=headroom,
            slos=slos or chosen.spec.slos,
        )
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_answer(stdout(), found, chosen)


def studies(db: Database = DEFAULT_DATABASE, *, as_json: Json = False) -> None:
    """List the studies of a result file."""
    from tuner.cli.console import print_json, stdout
    from tuner.cli.records import study_record
    from tuner.cli.tables import print_studies

    with _reader(db) as reader:
        found = [(each, reader.trials(each.id, load_points=False)) for each in reader.studies()]
    if as_json:
        print_json([study_record(each, its_trials) for each, its_trials in found])
    else:
        print_studies(stdout(), found)


def trials(
    study: StudyOption = None,
    db: Database = DEFAULT_DATABASE,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that needed no launch: refused or measured before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the trials of a study with their figures at the target rate."""
    from tuner.cli.console import print_json, stdout
    from tuner.cli.records import trial_record
    from tuner.cli.tables import print_trials

    with _chosen(db, study) as (reader, chosen):
        found = reader.trials(chosen.id)
    if as_json:
        print_json([trial_record(chosen, trial) for trial in found])
    else:
        print_trials(stdout(), chosen, found, everything=everything)


def show(
    trial: Annotated[int, typer.Argument(help="The trial's number.", metavar="TRIAL")],
    study: StudyOption = None,
    db: Database = DEFAULT_DATABASE,
    *,
    as_json: Json = False,
) -> None:
    """Show one trial whole: flags, launches, load points, server, client and machine, and why it is as it is."""
    from tuner.cli.console import print_json, stdout
    from tuner.cli.records import trial_record
    from tuner.cli.trial_view import print_trial

    with _chosen(db, study) as (reader, chosen):
        found = reader.trial(chosen.id, trial)
    if found is None:
        raise InputError(f"study {chosen.name} has no trial {trial}", advice="`tuner trials --all` lists them")
    if as_json:
        print_json(trial_record(chosen, found))
    else:
        print_trial(stdout(), chosen, found)


def pareto(
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Two or three figures; without it the study's objectives.", metavar="NAME"),
    ] = None,
    study: StudyOption = None,
    db: Database = DEFAULT_DATABASE,
    *,
    as_json: Json = False,
) -> None:
    """Show which trials no other beats in every figure, and which are dominated."""
    from tuner.cli.console import print_json, stdout
    from tuner.cli.tables import print_front
    from tuner.study.front import front

    with _chosen(db, study) as (reader, chosen):
        names = tuple(metric) if metric else _default_metrics(chosen)
        found = front(chosen, reader.trials(chosen.id), names)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_front(stdout(), found)


def _default_metrics(study: "Study") -> tuple[str, ...]:
    objectives = study.spec.objectives
    return (
        objectives if len(objectives) > 1 else (*objectives, "ttft_p95" if "ttft_p95" not in objectives else "tpot_p95")
    )


@contextmanager
def _reader(db: str) -> "Generator[Reader]":
    from tuner.store.location import DatabaseLocation
    from tuner.store.reader import open_reader

    with open_reader(DatabaseLocation.parse(db)) as reader:
        yield reader


@contextmanager
def _chosen(db: str, name: str | None) -> "Generator[tuple[Reader, Study]]":
    """Open the result file at the study of this name, or at the newest.

    Raises:
        InputError: no study, or none of this name.
    """
    with _reader(db) as reader:
        found = reader.study(name) if name else next(reversed(reader.studies()), None)
        if found is None:
            names = ", ".join(each.name for each in reader.studies())
            what = f"no study named {name!r} in it; there are: {names}" if names else "no study in it yet"
            where = reader.location.display
            raise InputError(what, where=where, advice="" if names else "`tuner run` starts one")
        yield reader, found
