"""Options that several commands share, spelled once."""

from typing import TYPE_CHECKING, Annotated

import typer

from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from tuner.domain.slo import Slo

DEFAULT_DATABASE = "results.db"

Database = Annotated[
    str, typer.Option("--db", envvar="TUNER_DB", help="Result file, or any SQLAlchemy URL.", metavar="PATH")
]
Databases = Annotated[
    list[str] | None,
    typer.Option(
        "--db", help="Result file, or any SQLAlchemy URL; give it several times. [env: TUNER_DB]", metavar="PATH"
    ),
]
Headroom = Annotated[
    float, typer.Option("--headroom", help="How many times the target rate must be sustained.", min=1.0)
]
StudyOption = Annotated[
    str | None, typer.Option("--study", help="Which study; without it the only one, or the newest.", metavar="NAME")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
SloOptions = Annotated[
    list[str] | None,
    typer.Option("--slo", help="An SLO such as ttft_p95=500ms; give it several times.", metavar="NAME=LIMIT"),
]


def parse_slos(texts: list[str] | None) -> "tuple[Slo, ...]":
    """Return the SLOs of repeated `--slo` options, an empty tuple without any.

    Raises:
        InputError: one is no SLO, or stands twice.
    """
    from tuner.domain.slo import parse_slo

    try:
        slos = tuple(parse_slo(text) for text in texts or ())
    except ValueError as error:
        raise InputError(str(error), where="--slo") from error
    if len({slo.name for slo in slos}) != len(slos):
        raise InputError("the same SLO stands twice", where="--slo")
    return slos
