from typing import Any

import pytest
from pydantic import ValidationError

from tuner.domain.study import LoadPlan, StudySpec

GOOD: dict[str, Any] = {
    "study": "night",
    "model": "org/model",
    "target_rps": 5,
    "search_space": {"parameters": {"max-num-seqs": {"type": "int", "low": 1, "high": 64}}},
    "slos": {"ttft_p95": "500ms"},
}


def _spec(**changes: object) -> StudySpec:
    return StudySpec.model_validate(GOOD | changes)


def test_a_study_needs_only_five_keys() -> None:
    spec = _spec()
    assert spec.objectives == ("capacity_rps", "ttft_p95")
    assert spec.base_flags() == {"max-model-len": 640}


def test_a_study_survives_its_storage() -> None:
    spec = _spec(
        candidates=["--max-num-seqs 256", {"gpu-memory-utilization": 0.9, "enforce-eager": True}],
        engine={"flags": "--max-model-len 2048", "env": {"OMP_NUM_THREADS": 2}, "gpus": [0], "start_timeout": "10min"},
        budget={"until": "07:00", "hours": 8},
    )
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec
    assert StudySpec.model_validate(spec.model_dump()) == spec


def test_a_fixed_context_length_goes_before_the_workloads() -> None:
    assert _spec(engine={"flags": {"max-model-len": 2048}}).base_flags() == {"max-model-len": 2048}


IMPOSSIBLE: dict[str, list[Any]] = {
    "study": [";rm", "$(id)", "--flag", "<script>", "../up", "", "a b", "a\n", "x" * 65, ".hidden", 5, None],
    "model": ["", " ", "--trust-remote-code", "a\x00b", "a\nb", 5],
    "target_rps": [0, -1, float("nan"), float("inf"), "5", True],
    "objectives": [[], ["capacity"], ["ttft_p95", "ttft_p95"], ["ttft_p9"], "ttft_p95"],
    "slos": [{}, {"ttft_p95": 0}, {"ttfb_p95": 1}, []],
    "budget": [{"trials": 0}, {"trials": True}, {"hours": float("inf")}, {"until": "25:00"}, {"until": 7}],
    "sampler": [{"name": "grid"}, {"seed": -1}, {"seed": 2**32}, {"startup_trials": 0}],
    "load": [
        {"rates": [1, 2]}, {"highest": 0.5}, {"lowest": 2}, {"tolerance": 0}, {"max_points": 0}, {"duration": 0},
        {"drain": ""},
    ],
    "engine": [
        {"gpus": []}, {"gpus": [0, 0]}, {"gpus": [-1]}, {"port": 80}, {"flags": "x"}, {"flags": {"max-num-seqs": 64}},
        {"env": {"HF_TOKEN": "x"}}, {"env": {"A_PROXY": "http://me:pass-word@host:1"}},
        {"env": {"A B": "1"}}, {"env": {"A": "\x00"}}, {"env": {"A": True}},
    ],
    "warm_start": [{"study": "night", "db": "postgresql://me:pass-word@host/results"}, {"study": "../up"}],
    "unknown": [1],
}  # fmt: skip


@pytest.mark.parametrize("changes", [{key: value} for key, values in IMPOSSIBLE.items() for value in values])
def test_an_impossible_study_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _spec(**changes)


def test_only_the_memory_share_may_be_fixed_and_tuned() -> None:
    space = {"parameters": {"gpu-memory-utilization": {"type": "float", "low": 0.1, "high": 0.4}}}
    assert _spec(search_space=space, engine={"flags": {"gpu-memory-utilization": 0.3}})


def test_slo_sets_are_the_same_in_any_order() -> None:
    one = _spec(slos={"ttft_p95": "500ms", "tpot_p95": "50ms"})
    other = _spec(slos={"tpot_p95": 50, "ttft_p95": 500})
    assert one.slo_identity == other.slo_identity
    assert one.slo_identity != _spec().slo_identity


def test_a_slow_rate_still_brings_enough_requests() -> None:
    plan = LoadPlan(duration=60, min_requests=100)
    assert plan.requests(0.5) == 100
    assert plan.requests(10) == 600
