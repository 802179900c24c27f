"""Phases of a start, from recorded logs: they add up to the whole."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.server.startup import startup_phases

LOGS = Path(__file__).parents[2] / "data" / "vllm-logs"


def recorded(name: str) -> str:
    return (LOGS / f"{name}.log").read_text(encoding="utf-8")


def test_a_gpu_start_has_all_its_phases():
    started = datetime(2025, 5, 9, 22, 51, 9)  # noqa: DTZ001  # as the log: the server's local time

    assert startup_phases(recorded("0.8.5/started"), started=started, ready_after=120.5) == {
        "imports": 49.5,
        "weights": 7.0,
        "compile": 30.8,
        "profiling": 11.2,
        "graphs": 20.0,
        "serving": 2.0,
    }


def test_a_cpu_start_without_compilation_has_the_others():
    started = datetime(2026, 11, 24, 5, 27, 2)  # noqa: DTZ001

    phases = startup_phases(recorded("0.32.0/healthy"), started=started, ready_after=41.0)

    assert phases == {"imports": 33.5, "profiling": 1.0, "warm_up": 5.0, "serving": 1.5}
    assert sum(phases.values()) == pytest.approx(41.0)


def test_a_start_across_the_new_year_is_measured():
    log = "\n".join(
        f"INFO {at} [x.py:1] {text}"
        for at, text in (
            ("12-31 23:59:50", "Starting to load model /models/tiny..."),
            ("12-31 23:59:58", "Model loading took 1.0 GiB and 8.0 seconds"),
            ("01-01 00:00:05", "GPU KV cache size: 100 tokens"),
            ("01-01 00:00:07", "init engine (profile, create kv cache, warmup model) took 9.1 seconds"),
        )
    )

    phases = startup_phases(log, started=datetime(2025, 12, 31, 23, 59, 40), ready_after=29.5)  # noqa: DTZ001

    assert phases == {"imports": 10.5, "weights": 8.0, "profiling": 7.0, "warm_up": 2.0, "serving": 2.0}


@pytest.mark.parametrize("hours", [-2, 2])
def test_stamps_that_make_no_sense_give_no_phases(hours: int):
    started = datetime(2025, 5, 9, 22, 51, 9) + timedelta(hours=hours)  # noqa: DTZ001

    assert startup_phases(recorded("0.8.5/started"), started=started, ready_after=120.5) == {}


def test_a_start_that_never_came_to_its_end_has_no_phases():
    log = recorded("0.20.0/no-kv-cache")

    assert startup_phases(log, started=datetime(2026, 5, 1, 19, 15, 0), ready_after=200.0) == {}  # noqa: DTZ001


@given(st.text(), st.floats(0, 1e5))
def test_any_text_is_read_without_an_error(log: str, ready_after: float):
    assert startup_phases(log, started=datetime(2024, 2, 29, 1, 0, 0), ready_after=ready_after) == {}  # noqa: DTZ001
