from typing import Any

import pytest
from pydantic import ValidationError

from tuner.domain.arrivals import ClosedLoop, PoissonArrivals
from tuner.domain.lengths import FixedLength
from tuner.domain.workload import Workload


def _workload(input_tokens: Any) -> Workload:
    return Workload.model_validate({"input_tokens": input_tokens, "output_tokens": 32})


@pytest.mark.parametrize(
    ("written", "longest"),
    [
        (128, 128),
        ({"type": "fixed", "tokens": 128}, 128),
        ({"type": "uniform", "low": 16, "high": 256}, 256),
        ({"type": "normal", "mean": 128, "sd": 16, "high": 512}, 512),
        ({"type": "lognormal", "median": 300, "sigma": 0.8, "low": 16, "high": 4096}, 4096),
    ],
)
def test_a_length_is_a_number_or_a_distribution_and_knows_its_longest(written: object, longest: int) -> None:
    workload = _workload(written)
    assert workload.input_tokens.longest == longest
    assert workload.longest_request == longest + 32
    assert Workload.model_validate_json(workload.model_dump_json()) == workload


@pytest.mark.parametrize(
    "written",
    [
        0,
        -1,
        20_000_000,
        1.5,
        "128",
        True,
        None,
        [128],
        {"tokens": 128},
        {"type": "uniform", "low": 9, "high": 2},
        {"type": "uniform", "high": 2},
        {"type": "normal", "mean": 128, "sd": -1, "high": 512},
        {"type": "normal", "mean": 1000, "sd": 1, "high": 512},
        {"type": "normal", "mean": 10, "sd": 1, "low": 20, "high": 10},
        {"type": "lognormal", "median": 1, "sigma": 0.5, "low": 16, "high": 4096},
        {"type": "lognormal", "median": 300, "sigma": float("nan"), "high": 4096},
        {"type": "zipf", "tokens": 1},
    ],
)
def test_an_impossible_length_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        _workload(written)


def test_workloads_are_comparable_only_where_they_are_the_same() -> None:
    assert _workload(128).identity == _workload({"type": "fixed", "tokens": 128}).identity
    assert _workload(128).identity != _workload(129).identity
    assert _workload(128).identity != Workload(input_tokens=FixedLength(tokens=128)).identity


def test_arrivals_have_a_label_for_people() -> None:
    assert ClosedLoop(concurrency=32).label == "32 users"
    assert PoissonArrivals(rate=2.5).label == "2.5 req/s"
