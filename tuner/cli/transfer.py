"""`tuner import`, `export` and `prune`: what a result file takes in, gives out and lets go."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuner.cli.options import DEFAULT_DATABASE, Database, Json
from tuner.cli.stored import chosen_study
from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from tuner.store.export import Format
    from tuner.store.transfer import Imported
    from tuner.study.prune import Pruning

_IMPORT_EXAMPLES = """Examples:

tuner import h100.db

tuner import a100.db --study night --as night-a100 --db all.db
"""
_EXPORT_EXAMPLES = """Examples:

tuner export night -o trials.csv

tuner export night -o requests.parquet --table requests
"""
_PRUNE_EXAMPLES = """Examples:

tuner prune night

tuner prune night --older-than 30d --keep best --keep 12 --yes
"""
_AGE = re.compile(r"(?P<number>\d{1,6})\s*(?P<unit>[dhw])")
_HOURS = {"h": 1, "d": 24, "w": 168}

Study = Annotated[
    str | None, typer.Argument(help="Which study; without it the only one, or the newest.", metavar="[STUDY]")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import", epilog=_IMPORT_EXAMPLES)(import_)
    app.command("export", epilog=_EXPORT_EXAMPLES)(export)
    app.command("prune", epilog=_PRUNE_EXAMPLES)(prune)


def import_(
    other: Annotated[str, typer.Argument(help="The other result file; only read.", metavar="OTHER.db")],
    study: Annotated[
        str | None, typer.Option("--study", help="Bring this one; without it, all.", metavar="NAME")
    ] = None,
    new_name: Annotated[
        str | None, typer.Option("--as", help="What the study is called here, where its name is taken.", metavar="NAME")
    ] = None,
    db: Database = DEFAULT_DATABASE,
    *,
    as_json: Json = False,
) -> None:
    """Bring the studies of another box's result file into this one, without duplicates.

    Once more after the other study has grown brings what is new. All or nothing; raw records come along, and `tuner
    resume` and optuna-dashboard work on what came.
    """
    from tuner.cli.console import print_json, stdout
    from tuner.store.location import DatabaseLocation
    from tuner.study.transfer import import_results

    found = import_results(DatabaseLocation.parse(other), DatabaseLocation.parse(db), study=study, new_name=new_name)
    if as_json:
        print_json(_import_record(found))
    else:
        stdout().print("\n".join(_import_lines(found)), soft_wrap=True)


def _import_record(found: "Imported") -> dict[str, object]:
    from dataclasses import asdict

    return asdict(found)


def _import_lines(found: "Imported") -> list[str]:
    from tuner.cli.text import plural

    lines: list[str] = []
    for each in found.studies:
        new = [plural(each.trials, "trial"), plural(each.launches, "launch").replace("launchs", "launches")]
        what = f"{', '.join(new)}, {plural(each.load_points, 'load point')}"
        lines.append(f"{each.study}: {'nothing new' if each.is_nothing else what}")
        if each.left_out:
            lines.append(f"  {plural(each.left_out, 'trial')} left out that had not ended; import again later")
    if found.benches:
        lines.append(f"{plural(found.benches, 'measurement')} of servers that the tuner did not start")
    return lines


def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.", metavar="FILE")],
    study: Study = None,
    table: Annotated[
        Literal["trials", "load_points", "requests"], typer.Option("--table", help="What its rows are.")
    ] = "trials",
    file_format: Annotated[
        Literal["csv", "json", "parquet"] | None,
        typer.Option("--format", help="The file's format; without it by the file's suffix."),
    ] = None,
    db: Database = DEFAULT_DATABASE,
) -> None:
    """Write a study's trials, load points or requests as a CSV, JSON or Parquet table.

    The columns and their units stand in docs/result-file.md. Parquet needs the extra `tuner[parquet]`.
    """
    from tuner.cli.console import stderr
    from tuner.cli.text import plural
    from tuner.store.export import write_table
    from tuner.study.export import COLUMNS, Table, table_rows, without_records

    chosen_format, chosen_table = _format(output, file_format), Table(table)
    with chosen_study(db, study) as (reader, chosen):
        rows = table_rows(chosen_table, reader, chosen)
        count = write_table(output, chosen_format, COLUMNS[chosen_table], rows)
        gone = without_records(reader, chosen) if chosen_table is Table.REQUESTS else 0
    stderr().print(f"{output}: {plural(count, 'row')} of study {chosen.name}", soft_wrap=True)
    if gone:
        stderr().print(f"The raw records of {plural(gone, 'load point')} were pruned and are not among them.")


def _format(output: Path, name: str | None) -> "Format":
    """Return the format that is named, or that the file's suffix says."""
    from tuner.store.export import Format

    wanted = name or output.suffix.lower().removeprefix(".")
    if wanted not in set(Format):
        formats = ", ".join(Format)
        raise InputError(
            f"{output.name} does not say in which format", where="-o", advice=f"Name one with --format: {formats}."
        )
    return Format(wanted)


def prune(
    study: Study = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            help="Trials that keep theirs: best, front, baseline, confirmed (all of these without it), a trial's "
            "number, or nothing; give it several times.",
            metavar="WHICH",
        ),
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Only what was measured longer ago, such as 30d.", metavar="AGE")
    ] = None,
    db: Database = DEFAULT_DATABASE,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Take raw records (requests, scrapes, machine samples) out of a result file; figures and capacities stay.

    A trial without them can't be held against other SLOs request by request any more.
    """
    from tuner.cli.console import print_json, stdout
    from tuner.study.prune import DEFAULT_KEEP, Rule, plan_pruning
    from tuner.study.prune import prune as take_out

    newer_than = datetime.now(UTC) - _age(older_than) if older_than else None
    rule = Rule(tuple(keep or DEFAULT_KEEP), newer_than)
    with chosen_study(db, study) as (reader, chosen):
        location, trials = reader.location, reader.trials(chosen.id)
        planned = plan_pruning(location, chosen, trials, rule)
    found = take_out(location, chosen, trials, rule) if yes and planned.load_points else planned
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        stdout().print("\n".join(_pruning_lines(found)), soft_wrap=True)


def _age(text: str) -> timedelta:
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{text!r} is not an age: write it like 12h, 30d or 8w", where="--older-than")
    return timedelta(hours=int(match["number"]) * _HOURS[match["unit"]])


def _pruning_lines(found: "Pruning") -> list[str]:
    from tuner.cli.text import plural

    if not found.load_points:
        return [f"Study {found.study}: no raw records that this would take out"]
    size = _size_text(found.bytes_of_records)
    what = f"raw records of {plural(found.load_points, 'load point')} of {plural(len(found.trials), 'trial')}, {size}"
    kept = f"Trials that keep theirs: {', '.join(map(str, found.kept)) or 'none'}"
    if not found.done:
        return [f"Study {found.study}: would take out {what}", kept, "Nothing is changed yet: --yes does it."]
    freed = "" if found.bytes_freed is None else f"; the file is {_size_text(found.bytes_freed)} smaller"
    return [f"Study {found.study}: took out {what}{freed}", kept]


def _size_text(size: int) -> str:
    """Return a size for people."""
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if abs(value) < 1000:  # noqa: PLR2004  # the next unit reads better
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"
