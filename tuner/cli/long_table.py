"""Tables of thousands of rows as plain lines: no folding, no styles, every line whole."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console

from tuner.cli.console import plainly

_GAP = "  "


def print_long(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose columns are as wide as their widest cell, however narrow the window."""
    plainly(console, "\n".join(_lines(columns, rows)))


def _lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    wide = [max(map(_width, cells)) for cells in zip(columns, *rows, strict=True)]
    rule = "─" * (sum(wide) + len(_GAP) * (len(wide) - 1))
    return [_line(columns, wide), rule, *(_line(row, wide) for row in rows)]


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    return _GAP.join(cell + " " * (width - _width(cell)) for cell, width in zip(cells, wide, strict=True)).rstrip()


def _width(cell: str) -> int:
    """Return how many columns a terminal gives a text."""
    return len(cell) if cell.isascii() else cell_len(cell)
