"""`tuner init`, `tuner schema` and `tuner check`: the study file before a study."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.options import Json
from tuner.cli.run import VllmPython, spec_from
from tuner.domain.errors import InputError, SurroundingsError

if TYPE_CHECKING:
    from tuner.study.preview import Preview


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init", epilog="Example: tuner init night.yaml --model Qwen/Qwen3-8B")(init)
    app.command("schema", epilog="Example: tuner schema > study.schema.json")(schema)
    app.command("check", epilog="Example: tuner check night.yaml")(check)


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.", metavar="STUDY.yaml")] = Path("study.yaml"),
    model: Annotated[str | None, typer.Option("--model", help="A local directory or a hub name.")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a commented study file to start from."""
    from tuner.study.file import starter

    if file.exists() and not force:
        raise InputError("it exists already", where=str(file), advice="name another file, or --force to replace it")
    try:
        file.write_text(starter(model) if model else starter(), encoding="utf-8")
    except OSError as error:
        raise SurroundingsError(f"can't be written: {error.strerror}", where=str(file)) from error
    sys.stdout.write(f"{file} written; `tuner check {file}` shows what it would start.\n")


def schema() -> None:
    """Print the JSON Schema of a study file, for editors."""
    from tuner.cli.console import print_json
    from tuner.study.file import json_schema

    print_json(json_schema())


def check(
    file: Annotated[Path, typer.Argument(help="The study file.", metavar="STUDY.yaml")],
    vllm_python: VllmPython = None,
    *,
    as_json: Json = False,
) -> None:
    """Validate a study file, ask the engine for its flags, print the server commands; start nothing."""
    import asyncio

    from tuner.cli.console import print_json, stderr
    from tuner.study.preview import preview

    spec = spec_from(file, {"engine": {"vllm_python": vllm_python}})
    console = stderr()
    shown = asyncio.run(
        preview(spec, cwd=Path.cwd(), environ=os.environ, on_line=lambda text: console.print(text, soft_wrap=True))
    )
    if as_json:
        print_json(shown.model_dump(mode="json"))
    else:
        _print_preview(str(file), shown)


def _print_preview(file: str, shown: "Preview") -> None:
    from tuner.cli.console import copyable, stdout

    console = stdout()
    console.print(f"{file} is valid: vLLM {shown.vllm_version}, {shown.device}")
    for command in shown.commands:
        console.print(f"\n{command.title}")
        copyable(console, f"  {command.line}")
