"""`tuner best`, `studies`, `trials`, `show` and `pareto`: answers from a result file, also while a study is running.

They read with SQL alone and import neither Optuna nor Alembic.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.emitting import EmitOption, print_form, refuse_both
from tuner.cli.options import DEFAULT_DATABASE, Database, Headroom, Json, SloOptions, StudyOption, parse_slos
from tuner.cli.stored import chosen_study, open_results
from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from tuner.domain.trial import Study

_BEST_EXAMPLES = """Examples:

tuner best --target-rps 10

tuner best --target-rps 10 --slo ttft_p95=300ms --headroom 3 --json

tuner best --target-rps 10 --emit kubernetes > vllm.k8s.yaml
"""
_SHOW_EXAMPLES = """Examples:

tuner show 3

tuner show 3 --slo ttft_p95=300ms
"""
_PARETO_EXAMPLES = """Examples:

tuner pareto

tuner pareto --metric capacity_rps --metric ttft_p95 --metric tpot_p95

tuner pareto --slo ttft_p95=300ms --slo tpot_p95=40ms
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("best", epilog=_BEST_EXAMPLES)(best)
    app.command("studies", epilog="Example: tuner studies --db results.db")(studies)
    app.command("trials", epilog="Example: tuner trials --study quickstart")(trials)
    app.command("show", epilog=_SHOW_EXAMPLES)(show)
    app.command("pareto", epilog=_PARETO_EXAMPLES)(pareto)


def best(
    target_rps: Annotated[float, typer.Option("--target-rps", help="Requests per second to serve.", min=1e-9)],
    slo: SloOptions = None,
    headroom: Headroom = 2.0,
    study: StudyOption = None,
    db: Database = DEFAULT_DATABASE,
    emit: EmitOption = None,
    *,
    as_json: Json = False,
) -> None:
    """Name the configuration to deploy for a target rate, with its evidence and the `vllm serve` line.

    It sustains the target rate times the headroom within the SLOs (the study's own, unless --slo is given), at the best
    latency at the target rate. Where none does, the one with the highest capacity, and how many replicas would.
    """
    from tuner.cli.console import print_json, stdout
    from tuner.cli.drift_view import drift_line
    from tuner.cli.tables import print_answer
    from tuner.study.answer import stored_answer
    from tuner.study.listing import stored_drift

    refuse_both(emit, as_json=as_json)
    slos = parse_slos(slo)
    with chosen_study(db, study) as (reader, chosen):
        found = stored_answer(chosen, reader, target_rps=target_rps, headroom=headroom, slos=slos or chosen.spec.slos)
        drifted = drift_line(stored_drift(chosen, reader))
        named = reader.trials(chosen.id, numbers=[found.trial])
    if emit is not None:
        print_form(emit, chosen, named, found)
    elif as_json:
        print_json(found.model_dump(mode="json") | {"drift": drifted})
    else:
        print_answer(stdout(), found, chosen)
        if drifted:
            stdout().print(f"\n{drifted}")


def studies(db: Database = DEFAULT_DATABASE, *, as_json: Json = False) -> None:
    """List the studies of a result file."""
    with open_results(db) as reader:
        found = [(each, reader.states(each.id)) for each in reader.studies()]
    if as_json:
        from tuner.cli.console import print_json
        from tuner.cli.records import study_record

        print_json([study_record(each, states) for each, states in found])
    else:
        from tuner.cli.console import stdout
        from tuner.cli.tables import print_studies

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
    with chosen_study(db, study) as (reader, chosen):
        if as_json:
            from tuner.cli.console import print_json
            from tuner.cli.records import trial_record

            print_json([trial_record(chosen, trial) for trial in reader.trials(chosen.id)])
        else:
            from tuner.cli.console import stdout
            from tuner.cli.tables import print_trials
            from tuner.study.listing import listing

            print_trials(stdout(), chosen, listing(chosen, reader), everything=everything)


def show(
    trial: Annotated[int, typer.Argument(help="The trial's number.", metavar="TRIAL")],
    slo: SloOptions = None,
    study: StudyOption = None,
    db: Database = DEFAULT_DATABASE,
    *,
    as_json: Json = False,
) -> None:
    """Show one trial whole: flags, launches, load points, server, client and machine, and why it is as it is.

    With --slo its goodput and capacity are those under other SLOs than the study's, from the stored request records.
    """
    from tuner.cli.console import print_json, stdout
    from tuner.cli.records import trial_record
    from tuner.cli.trial_view import print_trial
    from tuner.study.rejudge import rejudged, under

    slos = parse_slos(slo)
    with chosen_study(db, study) as (reader, chosen):
        found = reader.trial(chosen.id, trial)
        if found is None:
            raise InputError(f"study {chosen.name} has no trial {trial}", advice="`tuner trials --all` lists them")
        asked = under(chosen, slos or chosen.spec.slos)
        (shown,) = rejudged([found], chosen.spec, asked.spec.slos, reader)
    if as_json:
        print_json(trial_record(asked, shown.trial, shown.undecided))
    else:
        print_trial(stdout(), asked, shown.trial, shown.undecided)


def pareto(
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Two or three figures; without it the study's objectives.", metavar="NAME"),
    ] = None,
    slo: SloOptions = None,
    study: StudyOption = None,
    db: Database = DEFAULT_DATABASE,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also all that are dominated, of a long study.")] = False,
    as_json: Json = False,
) -> None:
    """Show which trials no other beats in every figure, and which are dominated.

    With --slo capacity and goodput are those under other SLOs than the study's, from the stored request records.
    """
    from tuner.cli.console import print_json, stdout
    from tuner.cli.tables import print_front
    from tuner.study.front import stored_front

    slos = parse_slos(slo)
    with chosen_study(db, study) as (reader, chosen):
        names = tuple(metric) if metric else _default_metrics(chosen)
        found = stored_front(chosen, reader, names, slos or chosen.spec.slos)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_front(stdout(), found, everything=everything)


def _default_metrics(study: "Study") -> tuple[str, ...]:
    objectives = study.spec.objectives
    return (
        objectives if len(objectives) > 1 else (*objectives, "ttft_p95" if "ttft_p95" not in objectives else "tpot_p95")
    )
