import io

from rich.console import Console

from tuner.cli.long_table import print_long


def printed(columns: list[str], rows: list[list[str]]) -> list[str]:
    console = Console(file=io.StringIO(), width=20)
    print_long(console, columns, rows)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_columns_are_as_wide_as_their_widest_cell_however_narrow_the_window():
    assert printed(["trial", "flags"], [["1", "a rather long configuration"], ["10000", "x"]]) == [
        "trial  flags",
        "─" * 34,
        "1      a rather long configuration",
        "10000  x",
    ]


def test_a_character_of_two_columns_counts_as_two():
    assert printed(["a", "b"], [["模型", "x"], ["y", "z"]])[2:] == ["模型  x", "y     z"]


def test_nothing_in_a_cell_steers_the_terminal():
    assert "\x1b" not in "".join(printed(["a"], [["\x1b[31mred"]]))
