"""The options `--notify` and `--metrics-port`, and the watchers that they put beside a running study."""

import platform
import shlex
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.options import DEFAULT_DATABASE

if TYPE_CHECKING:
    from tuner.domain.study import StudySpec
    from tuner.telling.teller import Teller

Notify = Annotated[
    list[str] | None,
    typer.Option(
        "--notify",
        envvar="TUNER_NOTIFY",
        metavar="URL",
        help="Post JSON there at the end, at a stop, and when trial 0 fails; give it several times.",
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", envvar="TUNER_METRICS_PORT", min=0, max=65535, help="Serve Prometheus metrics there; 0: any."
    ),
]
MetricsHost = Annotated[
    str, typer.Option("--metrics-host", envvar="TUNER_METRICS_HOST", help="Whom the metrics are open to.")
]
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Telling:
    """What was asked for."""

    notify: list[str] | None
    metrics_port: int | None
    metrics_host: str


def database_option(db: str) -> str:
    """Return what a command that is shown needs to find the database; a password is not in it."""
    from tuner.store.location import DatabaseLocation

    return "" if db == DEFAULT_DATABASE else f" --db {shlex.quote(DatabaseLocation.parse(db).display)}"


def resume_command(study: str, db: str) -> str:
    """Return the command that goes on with a study."""
    return f"tuner resume {study}{database_option(db)}"


@contextmanager
def telling(asked: Telling, spec: "StudySpec", resume: str, say: Callable[[str], None]) -> Generator["Teller"]:
    """Tell how the study goes while the context lasts, and at its end how it ended.

    Args:
        asked: To whom.
        spec: The study.
        resume: The command that goes on with it.
        say: Takes lines for whoever looks, from any thread.

    Raises:
        InputError: an address that is none.
        SurroundingsError: the metrics' port is not to be had.
    """
    from tuner.cli.console import secrets
    from tuner.telling.endpoint import endpoint
    from tuner.telling.metrics import StandingCollector
    from tuner.telling.notice import Session
    from tuner.telling.standing import Standing
    from tuner.telling.teller import Teller
    from tuner.telling.webhook import Messenger, Webhook

    standing = Standing(spec.study, spec.target_rps, time.monotonic())
    session = Session(tuple(map(str, spec.slos)), resume, str(Path.cwd()), platform.node(), _utc())
    messenger = Messenger([Webhook(text) for text in asked.notify or ()], say, secrets=secrets())
    teller = Teller(standing, session, messenger)
    with ExitStack() as stack:
        if asked.metrics_port is not None:
            collector = StandingCollector(lambda: teller.standing, clock=time.monotonic, now=_utc)
            port = stack.enter_context(endpoint(collector, host=asked.metrics_host, port=asked.metrics_port))
            say(f"metrics: http://{asked.metrics_host}:{port}/metrics")
        yield stack.enter_context(teller)


def _utc() -> datetime:
    return datetime.now(UTC)
