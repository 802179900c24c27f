"""A workload's mean request."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.builders import make_spec
from tuner.domain.workload import Workload
from tuner.load.library import shipped_workloads
from tuner.study.demand import demand_of, mean_request
from tuner.study.workload import load_workload


def mean(**workload: Any) -> tuple[float, float, float]:
    found = mean_request(Workload.model_validate(workload))
    return found.input_tokens, found.output_tokens, found.calls


def test_fixed_lengths_are_their_own_mean():
    assert mean(input_tokens=500, output_tokens=50) == (500, 50, 1)


def test_a_shared_prefix_counts_by_its_share():
    assert mean(input_tokens=100, output_tokens=10, prefix={"tokens": 1000, "share": 0.5})[0] == 600


def test_a_mix_is_weighed():
    classes = [
        {"name": "short", "weight": 3.0, "input_tokens": 100, "output_tokens": 10},
        {"name": "long", "weight": 1.0, "input_tokens": 900, "output_tokens": 50},
    ]
    assert mean(classes=classes) == (300, 20, 1)


def test_a_chains_requests_are_its_calls_and_other_work_is_none():
    chain = [
        {"name": "ask", "input_tokens": 100, "output_tokens": 10},
        {"name": "look", "before": "300ms"},
        {"name": "answer", "input_tokens": 300, "output_tokens": 30},
    ]
    assert mean(chain=chain) == (200, 20, 2)


def test_a_conversations_turns_send_all_that_was_said_before():
    # Turns send 100, 100 + 110 and 100 + 220 tokens.
    assert mean(input_tokens=100, output_tokens=10, conversation={"turns": 3}) == (210, 10, 3)


def test_a_distributions_mean_is_that_of_its_clipped_draws():
    length = {"type": "uniform", "low": 100, "high": 300}
    assert mean(input_tokens=length, output_tokens=10)[0] == pytest.approx(200, rel=0.01)


def test_a_traces_mean_is_that_of_its_requests(tmp_path: Path):
    rows = "2023-11-16 18:15:46,300,44\n2023-11-16 18:15:47,100,4\n"
    (tmp_path / "trace.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}")
    assert mean(trace={"file": str(tmp_path / "trace.csv"), "format": "azure"}) == (200, 24, 1)


@pytest.mark.parametrize("name", shipped_workloads())
def test_every_shipped_workload_has_a_mean_within_its_longest_request(name: str):
    workload = load_workload(name)
    found = mean_request(workload)
    assert 0 < found.input_tokens + found.output_tokens <= workload.longest_request


def test_a_studys_demand_counts_calls_and_takes_over_its_slos():
    spec = make_spec(target_rps=2.0, workload={"input_tokens": 100, "output_tokens": 10, "conversation": {"turns": 3}})
    demand = demand_of(spec)
    assert demand.rps == 6.0
    assert demand.slos == spec.slos
