"""`tuner best --emit`: the chosen configuration as a file or a command line to deploy, on standard output."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.deploy.form import Form
from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuner.analysis.best import Answer
    from tuner.domain.trial import Study, Trial

EmitOption = Annotated[
    Form | None,
    typer.Option("--emit", help=f"Print it ready to deploy instead: {', '.join(Form)}.", metavar="FORM"),
]


def refuse_both(form: Form | None, *, as_json: bool) -> None:
    """Return unless two kinds of output are asked for at once.

    Raises:
        InputError: they are.
    """
    if form is not None and as_json:
        raise InputError(
            "--emit and --json exclude each other", advice="`tuner best --json` has the flags and the figures as data"
        )


def print_form(form: Form, study: "Study", trials: "Sequence[Trial]", answer: "Answer") -> None:
    """Print what to deploy for an answer: nothing but the form, so that it can be piped into a file."""
    from tuner.cli.console import safe
    from tuner.deploy.emit import emit
    from tuner.study.deploying import deployable

    chosen = next(trial for trial in trials if trial.number == answer.trial)
    sys.stdout.write(safe(emit(form, deployable(study, chosen, answer, cwd=Path.cwd()))))
