"""`tuner importance`: which flags mattered, which have to be chosen together, and how sure that is."""

from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.options import DEFAULT_DATABASE, Database, Json, StudyOption
from tuner.cli.stored import chosen_study

if TYPE_CHECKING:
    from rich.console import Console

    from tuner.study.importance import Mattered

_EXAMPLES = """Examples:

tuner importance

tuner importance --target ttft_p95 --json
"""
_BAR = 24
"""Columns of the longest bar."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("importance", epilog=_EXAMPLES)(importance)


def importance(
    target: Annotated[
        str | None,
        typer.Option("--target", help="A figure such as ttft_p95; without it each objective.", metavar="NAME"),
    ] = None,
    study: StudyOption = None,
    db: Database = DEFAULT_DATABASE,
    *,
    as_json: Json = False,
) -> None:
    """Show which flags mattered for a figure, and which have to be chosen together.

    Importances are Optuna's (PED-ANOVA): how differently a flag is set in the best trials. Each comes with a 90 %
    interval, and with whether it can be told apart from chance.
    """
    from tuner.cli.console import print_json, stdout
    from tuner.study.front import at_rate_names
    from tuner.study.importance import mattered, names_of

    with chosen_study(db, study) as (reader, chosen):
        names = names_of(chosen, target)
        trials = reader.overviews(chosen.id, chosen.spec.target_rps, at_rate_names(names))
    found = [mattered(chosen, trials, name) for name in names]
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    console = stdout()
    console.print(f"Study {chosen.name}: what mattered, by its measured trials")
    for one in found:
        console.print()
        print_mattered(console, one)


def print_mattered(console: "Console", found: "Mattered") -> None:
    """Print what mattered for one figure."""
    from tuner.cli.tables import plain_table

    console.print(f"{found.figure}, by {found.trials} trials")
    if found.warning:
        console.print(found.warning)
    if not found.parameters:
        return
    table = plain_table("flag", "importance", "", "90 % interval", "by chance up to", "")
    longest = max(one.share for one in found.parameters) or 1.0
    for one in found.parameters:
        table.add_row(
            one.parameter,
            f"{one.share:.0%}",
            "█" * round(_BAR * one.share / longest),
            f"{one.lower:.0%} – {one.upper:.0%}",
            f"{one.chance:.0%}",
            "" if one.is_apart else "may be chance",
        )
    console.print(table)
    console.print(_about_pairs(found))


def _about_pairs(found: "Mattered") -> str:
    if not found.pairs_known:
        return "Too few trials to tell whether flags have to be chosen together."
    told = [
        f"{one.first} and {one.second} have to be chosen together: their combination explains another {one.share:.0%} "
        "of the variation."
        for one in found.pairs
    ]
    return "\n".join(told) or "No two flags have to be chosen together, as far as these trials tell."
