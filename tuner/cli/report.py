"""`tuner report`: one HTML page about a study, or about several side by side."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.compare import result_files
from tuner.cli.options import Databases, Headroom, SloOptions, parse_slos
from tuner.domain.errors import SurroundingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuner.store.reader import Reader
    from tuner.study.compare import Stored

_EXAMPLES = """Examples:

tuner report quickstart -o report.html

tuner report h100 a100 --db h100.db --db a100.db --target-rps 10 -o gpus.html
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", epilog=_EXAMPLES)(report)


def report(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            help="Studies, as NAME or FILE:NAME; without any, the newest of each file.", metavar="[STUDY]..."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write it; a file there is replaced.", metavar="FILE")
    ] = Path("report.html"),
    db: Databases = None,
    slo: SloOptions = None,
    target_rps: Annotated[
        float | None, typer.Option("--target-rps", help="Requests per second; without it each study's own.", min=1e-9)
    ] = None,
    headroom: Headroom = 2.0,
) -> None:
    """Write one HTML page to show to others: the answer, its evidence, the night.

    It is complete in itself: it opens from a mail attachment, needs no network, and runs nothing but its own charts.
    """
    from datetime import datetime

    from tuner.cli.console import secrets, stdout
    from tuner.domain.secrets import blanked
    from tuner.store.location import DatabaseLocation
    from tuner.store.reader import open_reader
    from tuner.study.report import report as page_about
    from tuner.study.report_material import Question

    question = Question(headroom=headroom, target_rps=target_rps, slos=parse_slos(slo))
    hidden = secrets()
    with ExitStack() as opened:
        paths = result_files(db, studies or ())
        readers = [opened.enter_context(open_reader(DatabaseLocation.parse(path))) for path in paths]
        chosen = _chosen(readers, studies or ())
        now = datetime.now().astimezone()
        page = page_about(chosen, question, now=now, clean=lambda text: blanked(text, hidden))
    _write(output, page)
    names = ", ".join(one.study.name for one in chosen)
    stdout().print(f"{output}: the report of {names}, {len(page.encode()) / 1e3:.0f} kB. Open it in a browser.")


def _chosen(readers: "Sequence[Reader]", names: "Sequence[str]") -> "Sequence[Stored]":
    from tuner.study.compare import chosen_studies
    from tuner.study.report import newest

    found = chosen_studies(readers, names)
    return found if names else newest(found)


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SurroundingsError(f"can't be written: {error.strerror}", where=str(path)) from error
