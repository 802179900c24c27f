"""`tuner workloads`: the workloads that come with the tuner."""

from typing import TYPE_CHECKING

import typer

from tuner.cli.options import Json

if TYPE_CHECKING:
    from tuner.domain.workload import Workload


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("workloads", epilog="Example: tuner workloads --json")(workloads)


def workloads(*, as_json: Json = False) -> None:
    """List the workloads that come with the tuner: for a study's `workload:` key, and for `tuner bench --workload`."""
    from tuner.cli.console import print_json, stdout
    from tuner.cli.tables import plain_table
    from tuner.load.library import shipped_workloads
    from tuner.study.workload import load_workload

    found = {name: load_workload(name) for name in shipped_workloads()}
    if as_json:
        print_json([_record(name, workload) for name, workload in found.items()])
        return
    table = plain_table("workload", "longest request", "identity", "what it is")
    for name, workload in found.items():
        table.add_row(name, f"{workload.longest_request} tokens", workload.identity, workload.description)
    stdout().print(table)


def _record(name: str, workload: "Workload") -> dict[str, str | int]:
    return {
        "name": name,
        "description": workload.description,
        "identity": workload.identity,
        "seed": workload.seed,
        "longest_request_tokens": workload.longest_request,
    }
