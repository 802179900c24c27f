"""`tuner`: the commands put together, and the one place where an error becomes a message and an exit code."""

import gc
import os
import sys
import traceback
from typing import Annotated

import typer

from tuner import __version__
from tuner.cli import (
    answers,
    bench,
    compare,
    confirm,
    dashboard,
    files,
    gpus,
    importance,
    plan,
    report,
    run,
    transfer,
    workloads,
)
from tuner.domain.errors import TunerError

_INTERNAL_ERROR = 1
_RARELY = (100_000, 50, 100)
"""Collections of reference cycles: what is read stays until it was shown, and each collection walks over all of it."""

app = typer.Typer(
    name="tuner",
    help="Find the vLLM flags to deploy: real servers, real load, measured overnight.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
run.register(app)
confirm.register(app)
answers.register(app)
bench.register(app)
compare.register(app)
importance.register(app)
plan.register(app)
gpus.register(app)
report.register(app)
dashboard.register(app)
transfer.register(app)
files.register(app)
workloads.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tuner {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find the vLLM flags to deploy: real servers, real load, measured overnight."""


def main() -> None:
    """Run the command line; a `TunerError` becomes its message and its exit code."""
    gc.set_threshold(*_RARELY)
    try:
        app()
    except TunerError as error:
        _complain(f"tuner: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_INTERNAL_ERROR)
    except Exception as error:  # noqa: BLE001  # the boundary: a person gets one line, TUNER_DEBUG the traceback
        if os.environ.get("TUNER_DEBUG"):
            _complain(traceback.format_exc())
        _complain(f"tuner: internal error, {type(error).__name__}: {error}")
        _complain("Nothing measured is lost. TUNER_DEBUG=1 shows the traceback; please report it.")
        sys.exit(_INTERNAL_ERROR)


def _complain(text: str) -> None:
    from tuner.cli.console import safe

    sys.stderr.write(safe(f"{text.rstrip()}\n"))
