"""`tuner compare`: studies of one or several result files side by side."""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.options import DEFAULT_DATABASE, Databases, Headroom, Json, SloOptions, parse_slos
from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuner.analysis.cost import Price

_EXAMPLES = """Examples:

tuner compare h100-night a100-night

tuner compare --db h100.db --db a100.db --target-rps 10 --price h100=2.99 --price a100=1.49

tuner compare h100.db:night a100.db:night --slo ttft_p95=300ms --json
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog=_EXAMPLES)(compare)


def compare(
    studies: Annotated[
        list[str] | None,
        typer.Argument(help="Studies, as NAME or FILE:NAME; without any, all of the files.", metavar="[STUDY]..."),
    ] = None,
    db: Databases = None,
    slo: SloOptions = None,
    target_rps: Annotated[
        float | None,
        typer.Option("--target-rps", help="Requests per second to serve; without it the studies' own.", min=1e-9),
    ] = None,
    headroom: Headroom = 2.0,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", help="Two or three figures of the fronts; without it capacity_rps and ttft_p95.", metavar="NAME"
        ),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option("--price", help="What one GPU costs an hour, such as h100=2.99.", metavar="DEVICE=AMOUNT"),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Compare studies of several GPUs, models or vLLM versions, in one or several result files.

    Capacities with intervals, best against best, equal configurations side by side, the fronts in one table with their
    hypervolumes, GPUs for the target rate, energy where it was measured and cost where a price is given. Studies of
    different workloads are refused; other SLOs or target rates want --slo or --target-rps.
    """
    from tuner.cli.compare_view import print_comparison
    from tuner.cli.console import print_json, stdout
    from tuner.store.location import DatabaseLocation
    from tuner.store.reader import open_reader
    from tuner.study.compare import chosen_studies, compare_studies

    slos, prices = parse_slos(slo), _prices(price or ())
    with ExitStack() as open_files:
        readers = [
            open_files.enter_context(open_reader(DatabaseLocation.parse(each)))
            for each in result_files(db, studies or ())
        ]
        found = compare_studies(
            chosen_studies(readers, studies or ()),
            slos=slos,
            target_rps=target_rps,
            headroom=headroom,
            metrics=metric or (),
            prices=prices,
        )
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_comparison(stdout(), found)


def result_files(db: "Sequence[str] | None", studies: "Sequence[str]") -> list[str]:
    """Return the files to open, each once: those given, and those that studies name; else the default."""
    named = [name.rpartition(":")[0] for name in studies if ":" in name]
    wanted = [*(db or ()), *named]
    if not wanted or (not db and len(named) < len(studies)):
        wanted = [os.environ.get("TUNER_DB", DEFAULT_DATABASE), *wanted]
    return list(dict.fromkeys(wanted))


def _prices(texts: "Sequence[str]") -> "tuple[Price, ...]":
    from tuner.analysis.cost import parse_price

    try:
        return tuple(parse_price(text) for text in texts)
    except ValueError as error:
        raise InputError(str(error), where="--price") from error
