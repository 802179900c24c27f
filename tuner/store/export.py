"""Tables written to files for other tools: CSV, JSON and Parquet.

Owns the formats, and nothing of what the tables hold: rows come in as they are read, a few at a time. A file is written
beside its place and moved there whole. CSV opens in spreadsheets, which take a text that begins like a formula for one:
such texts get an apostrophe in front there.
"""

import contextlib
import csv
import json
import math
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

from tuner.domain.errors import SurroundingsError
from tuner.domain.inert import inert
from tuner.store.batches import batches

Cell = str | int | float | bool | datetime | Mapping[str, Any] | Sequence[Any] | None
Rows = Iterable[Mapping[str, Cell]]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula (OWASP, CSV injection)."""
_AT_ONCE = 20_000
"""Rows that are in memory at the same time, and in one row group of a Parquet file."""


class Kind(StrEnum):
    """What a column holds. Every column may be empty."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    """A moment, UTC."""
    JSON = "json"
    """A nested value: as it is in a JSON file, as JSON text in the others."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    kind: Kind
    meaning: str
    """What it holds and its unit, for the documentation."""


class Format(StrEnum):
    """File formats."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def write_table(path: Path, file_format: Format, columns: Sequence[Column], rows: Rows) -> int:
    """Write a table, replacing a file of that name, and return the number of its rows.

    Raises:
        SurroundingsError: it can't be written, or the library for the format is not installed.
    """
    write = {Format.CSV: _write_csv, Format.JSON: _write_json, Format.PARQUET: _write_parquet}[file_format]
    try:
        with _in_place_of(path) as beside:
            return write(beside, columns, rows)
    except OSError as error:
        raise SurroundingsError(f"can't be written: {error.strerror or error}", where=str(path)) from error


@contextlib.contextmanager
def _in_place_of(path: Path) -> Generator[Path]:
    """Yield the path of a new file that takes the place of another once it is whole."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(number)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o666 & ~_umask())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_csv(path: Path, columns: Sequence[Column], rows: Rows) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in columns])
        return _counted(lambda row: writer.writerow([_csv_cell(row[column.name]) for column in columns]), rows)


def _csv_cell(value: Cell) -> str | float | None:
    """Return a value as CSV holds it: empty where there is none, moments in ISO 8601, nested values as JSON."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    text = inert(_text(value))
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write_json(path: Path, columns: Sequence[Column], rows: Rows) -> int:
    """Write an array of objects, one a line."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")

        def write(row: Mapping[str, Cell]) -> None:
            value = {column.name: _json_value(row[column.name]) for column in columns}
            file.write(("\n" if file.tell() == 1 else ",\n") + json.dumps(value, allow_nan=False))

        count = _counted(write, rows)
        file.write("\n]\n")
        return count


def _counted(write: Callable[[Mapping[str, Cell]], object], rows: Rows) -> int:
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007  # the last number is the answer
        write(row)
    return count


def _json_value(value: Cell) -> Any:  # noqa: ANN401  # whatever JSON holds
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime) else value


def _text(value: Cell) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str) else json.dumps(value)


def _write_parquet(path: Path, columns: Sequence[Column], rows: Rows) -> int:
    arrow, parquet = _pyarrow()
    schema = arrow.schema([arrow.field(column.name, _arrow_type(arrow, column.kind)) for column in columns])
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for some in batches(rows, _AT_ONCE):
            values = {column.name: [_arrow_value(row[column.name]) for row in some] for column in columns}
            writer.write_table(arrow.table(values, schema=schema))
            count += len(some)
    return count


def _pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module, which have no types."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise SurroundingsError(
            "Parquet files need pyarrow, which is not installed",
            where="--format parquet",
            advice="Install it: pip install 'tuner[parquet]', or write CSV or JSON.",
        ) from error


def _arrow_type(arrow: Any, kind: Kind) -> Any:  # noqa: ANN401  # pyarrow has no types
    return {
        Kind.TEXT: arrow.string(),
        Kind.INTEGER: arrow.int64(),
        Kind.NUMBER: arrow.float64(),
        Kind.BOOLEAN: arrow.bool_(),
        Kind.TIME: arrow.timestamp("us", tz="UTC"),
        Kind.JSON: arrow.string(),
    }[kind]


def _arrow_value(value: Cell) -> str | float | datetime | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, datetime)) else json.dumps(value)
