"""`tuner dashboard`: optuna-dashboard over a result file, on this machine only."""

from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.options import DEFAULT_DATABASE, Database
from tuner.cli.stored import chosen_study, open_results

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dashboard", epilog="Example: tuner dashboard --port 8090")(dashboard)


def dashboard(
    study: Annotated[
        str | None, typer.Argument(help="Which study to begin with; without it the newest.", metavar="STUDY")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0 for a free one.", min=0, max=65535)] = 8080,
    db: Database = DEFAULT_DATABASE,
) -> None:
    """Open optuna-dashboard on a result file: in a browser on this machine, without changing the file.

    Also while a study is running. Needs the extra `tuner[dashboard]`; Ctrl-C ends it.
    """
    with chosen_study(db, study) as (reader, chosen):
        location, study_id = reader.location, chosen.id
        reader.check_optuna()

    from tuner.cli.console import copyable, stdout
    from tuner.proposal.dashboard import LOOPBACK, dashboard_server, shown_storage
    from tuner.study.dashboard import figure_label, shown_attributes

    attributes = shown_attributes(lambda: open_results(db))
    storage = shown_storage(location.url, location.path, label=figure_label, attributes=attributes)
    server = dashboard_server(storage, port)
    console = stdout()
    copyable(console, f"http://{LOOPBACK}:{server.server_port}/dashboard/studies/{study_id}")
    console.print("Ctrl-C ends it.")
    console.file.flush()
    _serve(server)


def _serve(server: "WSGIServer") -> None:
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        server.server_close()
