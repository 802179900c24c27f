from pathlib import Path

import pytest

from tuner.load.library import locate, shipped_workload, shipped_workloads


def test_shipped_workloads_are_known_by_name():
    assert {"chat", "chat-and-summarise", "five-lessons", "azure-sample", "tiny"} <= set(shipped_workloads())
    assert list(shipped_workloads()) == sorted(shipped_workloads())


@pytest.mark.parametrize("name", shipped_workloads())
def test_a_shipped_workload_begins_with_a_line_for_people_and_is_short(name: str):
    lines = shipped_workload(name).decode().splitlines()
    assert lines[0].startswith("description: ")
    assert len(lines) <= 40
    assert all(len(line) <= 120 for line in lines)


def test_a_file_is_a_path_unless_it_is_shipped():
    assert locate("traces/a.csv") == Path("traces/a.csv")
    assert locate("shipped:azure-sample.csv").is_file()
    assert not locate("shipped:../../../pyproject.toml").is_file()
