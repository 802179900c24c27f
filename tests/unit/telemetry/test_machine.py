import os

import psutil
import pytest

from tuner.telemetry.machine import MachineReader, process_name, session_members


@pytest.mark.parametrize(
    ("command_line", "name"),
    [
        (["VLLM::EngineCore"], "VLLM::EngineCore"),
        (["VLLM::Worker_TP0", "", ""], "VLLM::Worker_TP0"),
        (["VLLM::EngineCore_DP0 "], "VLLM::EngineCore_DP0"),
        (
            ["/x/bin/python3.11", "-m", "vllm.entrypoints.openai.api_server", "--model=m"],
            "vllm.entrypoints.openai.api_server",
        ),
        (["/x/bin/python", "-Xdev", "-m", "vllm.entrypoints.cli.main", "serve", "m"], "vllm.entrypoints.cli.main"),
        (["/usr/bin/python3", "/usr/local/bin/vllm", "serve", "m"], "vllm"),
        (
            ["python", "-c", "from multiprocessing.resource_tracker import main;main(35)"],
            "multiprocessing.resource_tracker",
        ),
        (["python", "-c", "print(1)"], "python"),
        (["python"], "python"),
        (["python", "-m"], "python"),
        (["/opt/ray/raylet", "--secret=x"], "raylet"),
        ([], "kworker"),
        (["", " "], "kworker"),
    ],
)
def test_a_process_is_called_by_its_title_module_script_or_program(command_line: list[str], name: str):
    assert process_name(command_line, "kworker") == name


def test_a_session_has_this_process_and_no_session_has_none():
    assert os.getpid() in session_members(os.getsid(0))
    assert session_members(None) == []


def test_a_first_reading_has_memory_and_no_share_of_anything():
    first = MachineReader(os.getsid(0), clock=lambda: 7.0).read()
    assert (first.at, first.cpu_share, first.processes) == (7.0, None, ())
    assert 0 < (first.memory_available_bytes or 0) <= psutil.virtual_memory().total


def test_a_share_is_cpu_time_over_the_clocks_time_between_two_readings():
    now = iter((0.0, 2.0))
    reader = MachineReader(os.getsid(0), clock=lambda: next(now))
    own = psutil.Process()
    before = sum(own.cpu_times()[:2])
    reader.read()
    begun = sum(own.cpu_times()[:2])
    while sum(own.cpu_times()[:2]) < begun + 0.05:  # work until the kernel's ticks show it
        pass
    sample = reader.read()
    spent = sum(own.cpu_times()[:2]) - before
    mine = next(process for process in sample.processes if process.pid == own.pid)
    assert 0.049 / 2.0 <= mine.cpu_share <= spent / 2.0 + 1e-9
    assert mine.memory_bytes
    assert sample.cpu_share is None or 0.0 <= sample.cpu_share <= 1.0
