"""`tuner confirm`: finalists and the defaults measured again, on fresh launches."""

from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.options import DEFAULT_DATABASE, Database, StudyOption
from tuner.cli.run import VllmPython, run_study, with_changes
from tuner.cli.stored import chosen_study
from tuner.cli.telling import LOOPBACK, MetricsHost, MetricsPort, Notify, Telling
from tuner.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuner.domain.trial import Trial

_EXAMPLES = """Examples:

tuner confirm

tuner confirm 4 7 --repeats 5
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("confirm", epilog=_EXAMPLES)(confirm)


def confirm(
    trial: Annotated[
        list[int] | None,
        typer.Argument(help="Trials to measure again; without any, the best of the study.", metavar="[TRIAL]..."),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option("--repeats", help="Launches for each, earlier confirmations included.", min=1),
    ] = 5,
    study: StudyOption = None,
    vllm_python: VllmPython = None,
    notify: Notify = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = LOOPBACK,
    db: Database = DEFAULT_DATABASE,
) -> None:
    """Measure finalists and vLLM's defaults again: interleaved, each on a fresh launch with fresh prompts.

    `tuner best` then says whether its answer is confirmed. Stopped halfway, the same command goes on.
    """
    with chosen_study(db, study) as (reader, chosen):
        numbers = _numbers(reader.trials(chosen.id, load_points=False), trial or [])
    spec = with_changes(chosen.spec, {}, vllm_python)
    run_study(spec, db, Telling(notify, metrics_port, metrics_host), lambda loop: loop.confirm(numbers, repeats))


def _numbers(trials: "Sequence[Trial]", wanted: "Sequence[int]") -> list[int]:
    """Return the trials to confirm, the baseline left out: it is measured beside them anyway.

    Raises:
        InputError: one is not there, or has no figures; or there is no baseline.
    """
    from tuner.domain.trial import TrialRole, TrialState, measured_baseline

    measured = {one.number: one for one in trials if one.state is TrialState.MEASURED}
    if measured_baseline(measured.values()) is None:
        raise InputError("the study has no measured baseline to compare with", advice="`tuner resume` measures it")
    missing = next((number for number in wanted if number not in measured), None)
    if missing is not None:
        raise InputError(f"trial {missing} has no figures to confirm", advice="`tuner trials` lists those that have")
    return [number for number in dict.fromkeys(wanted) if measured[number].role is not TrialRole.BASELINE]
