import csv
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

from tuner.domain.errors import SurroundingsError
from tuner.store.export import Cell, Column, Format, Kind, write_table

COLUMNS = (
    Column("name", Kind.TEXT, ""),
    Column("count", Kind.INTEGER, ""),
    Column("rate", Kind.NUMBER, ""),
    Column("met", Kind.BOOLEAN, ""),
    Column("at", Kind.TIME, ""),
    Column("flags", Kind.JSON, ""),
)
AT = datetime(2026, 3, 1, 22, 0, 0, 250_000, tzinfo=UTC)
FULL: dict[str, Cell] = {"name": "a", "count": 3, "rate": 0.1, "met": True, "at": AT, "flags": {"x": [1, "y"]}}
EMPTY: dict[str, Cell] = dict.fromkeys(FULL, None)


def cells(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def read(path: Path) -> list[dict[str, Any]]:
    return cast("Any", parquet).read_table(path).to_pylist()


def test_csv_has_a_head_and_one_line_for_each_row(tmp_path: Path):
    path = tmp_path / "t.csv"
    assert write_table(path, Format.CSV, COLUMNS, [FULL, EMPTY]) == 2
    assert cells(path) == [
        ["name", "count", "rate", "met", "at", "flags"],
        ["a", "3", "0.1", "true", "2026-03-01T22:00:00.250000+00:00", '{"x": [1, "y"]}'],
        ["", "", "", "", "", ""],
    ]


def test_json_is_one_array_with_nested_values(tmp_path: Path):
    path = tmp_path / "t.json"
    assert write_table(path, Format.JSON, COLUMNS, [FULL, EMPTY]) == 2
    assert json.loads(path.read_text()) == [FULL | {"at": AT.isoformat()}, EMPTY]
    assert write_table(path, Format.JSON, COLUMNS, []) == 0
    assert json.loads(path.read_text()) == []


def test_parquet_keeps_types(tmp_path: Path):
    path = tmp_path / "t.parquet"
    assert write_table(path, Format.PARQUET, COLUMNS, [FULL, EMPTY]) == 2
    assert read(path) == [FULL | {"flags": '{"x": [1, "y"]}'}, EMPTY]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("file_format", list(Format))
def test_what_is_no_number_is_empty(tmp_path: Path, file_format: Format, value: float):
    path = tmp_path / "t"
    write_table(path, file_format, COLUMNS, [FULL | {"rate": value}])
    match file_format:
        case Format.CSV:
            assert cells(path)[1][2] == ""
        case Format.JSON:
            assert json.loads(path.read_text())[0]["rate"] is None
        case Format.PARQUET:
            assert read(path)[0]["rate"] is None


@pytest.mark.parametrize("name", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_a_formula_in_a_spreadsheet(tmp_path: Path, name: str):
    path = tmp_path / "t.csv"
    write_table(path, Format.CSV, COLUMNS, [FULL | {"name": name}])
    (cell,) = (row[0] for row in cells(path)[1:])
    assert cell[0] not in "=+-@\t\r"


def test_a_negative_number_stays_a_number(tmp_path: Path):
    path = tmp_path / "t.csv"
    write_table(path, Format.CSV, COLUMNS, [FULL | {"rate": -1.5, "count": -1}])
    assert cells(path)[1][1:3] == ["-1", "-1.5"]


def test_text_that_steers_a_terminal_is_inert_in_csv_and_json(tmp_path: Path):
    hostile = FULL | {"name": "\x1b]0;x\x07\u202e"}
    for file_format in (Format.CSV, Format.JSON):
        write_table(tmp_path / "t", file_format, COLUMNS, [hostile])
        assert not {"\x1b", "\x07", "\u202e"} & set((tmp_path / "t").read_text(encoding="utf-8"))


def test_a_row_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("old")

    def rows() -> Iterator[dict[str, Cell]]:
        yield FULL
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError):
        write_table(path, Format.CSV, COLUMNS, rows())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(SurroundingsError, match="can't be written"):
        write_table(tmp_path / "no" / "t.csv", Format.CSV, COLUMNS, [])
