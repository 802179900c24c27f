"""What keeps a proposal from being launched, in which order, and whom nothing keeps."""

from typing import Any

import pytest

from tests.fakes.builders import make_spec, make_trial
from tests.fakes.shapes import GIB, make_device, make_model
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.flags import Flags, FlagValue
from tuner.domain.plan import Demand
from tuner.domain.trial import Trial, TrialRole, TrialState
from tuner.server.engine import Resolution
from tuner.study.arithmetic import Arithmetic
from tuner.study.gate import Gate

SPACE = {
    "parameters": {
        "max-num-seqs": {"type": "int", "low": 8, "high": 1024, "log": True},
        "gpu-memory-utilization": {"type": "float", "low": 0.1, "high": 0.98},
    },
    "constraints": ["max-num-seqs != 13"],
}
SPEC = make_spec(search_space=SPACE)
SAMPLED, BASELINE, CANDIDATE = TrialRole.SAMPLED, TrialRole.BASELINE, TrialRole.CANDIDATE
GIVEN = [TrialRole.WARM_START, TrialRole.SUGGESTED]


def values(seqs: int = 64, share: float = 0.9) -> dict[str, FlagValue]:
    return {"max-num-seqs": seqs, "gpu-memory-utilization": share}


def resolved(flags: Flags, error: str | None = None) -> Resolution:
    return Resolution({} if error else {**flags}, error)


def ended(number: int, flags: Flags, kind: FailureKind | None = None, role: TrialRole = SAMPLED) -> Trial:
    state = TrialState.MEASURED if kind is None else TrialState.FAILED
    failure = None if kind is None else Failure(kind=kind)
    return make_trial(number, flags=flags, role=role, state=state, failure=failure)


def unlaunched(number: int) -> Trial:
    return make_trial(number, flags=values(900), state=TrialState.INFEASIBLE)


def arithmetic() -> Arithmetic:
    """Of a model whose weights take 15 GiB, on a GPU of 24 GiB."""
    base: dict[str, FlagValue] = {"max-model-len": 4096}
    demand = Demand(input_tokens=500, output_tokens=50, rps=4)
    return Arithmetic(make_model(), make_device(memory_bytes=24 * GIB), demand, base, "0.32.0")


def gate(arithmetic: Arithmetic | None = None, **facts: FlagValue) -> Gate:
    return Gate(SPEC, "0.32.0", {name.replace("_", "."): value for name, value in facts.items()}, arithmetic)


CLIFF = (
    ended(0, {}, role=BASELINE).model_copy(update={"resolved": values(64)}),
    ended(1, values(32)),
    ended(2, values(128)),
    ended(3, values(512), FailureKind.OOM_START),
    ended(4, values(700), FailureKind.OOM_START),
)


def refused(gate: Gate, flags: Flags, *, role: TrialRole = SAMPLED, error: str | None = None, known: Any = ()) -> str:
    found = gate.refusal(flags, role, resolved(flags, error), known)
    return found.evidence if found else ""


def test_the_order_is_rules_engine_arithmetic_experience():
    whole, bad = gate(arithmetic()), values(13, share=0.2)
    assert "constraint" in refused(whole, bad, error="vLLM says no", known=CLIFF)
    assert refused(whole, values(800, 0.2), error="vLLM says no", known=CLIFF) == "vLLM says no"
    assert "KV cache" in refused(whole, values(800, 0.2), known=CLIFF)
    assert "ran out of memory" in refused(whole, values(800), known=CLIFF)
    assert refused(whole, values(64), known=CLIFF) == ""


@pytest.mark.parametrize("role", [BASELINE, CANDIDATE])
def test_nothing_but_the_engines_own_word_binds_what_people_named(role: TrialRole):
    whole = gate(arithmetic())
    assert refused(whole, values(13, 0.2), role=role, known=CLIFF) == ""
    assert refused(whole, values(64), role=role, error="vLLM says no") == "vLLM says no"


def test_what_people_named_is_suspected_all_the_same():
    whole = gate(arithmetic())
    suspected = whole.suspicion(values(64, 0.2), resolved(values(64, 0.2)), ())
    assert suspected is not None
    assert "KV cache" in suspected
    assert whole.suspicion(values(64), resolved(values(64)), ()) is None


@pytest.mark.parametrize("role", GIVEN)
def test_suggestions_and_warm_starts_are_bound_by_what_is_certain(role: TrialRole):
    assert "constraint" in refused(gate(), values(13), role=role)
    assert "KV cache" in refused(gate(arithmetic()), values(64, 0.2), role=role)


def test_experience_does_not_keep_a_warm_start_from_being_measured():
    assert refused(gate(), values(800), role=TrialRole.WARM_START, known=CLIFF) == ""
    assert refused(gate(), values(800), role=TrialRole.SUGGESTED, known=CLIFF) != ""


def test_a_suggestion_is_refused_where_it_is_sure_to_fail_and_not_where_nobody_has_been():
    between = values(360)
    assert refused(gate(), between, known=CLIFF) != ""
    assert refused(gate(), between, role=TrialRole.SUGGESTED, known=CLIFF) == ""


def test_without_arithmetic_the_rest_still_counts():
    assert refused(gate(), values(64, 0.1)) == ""
    assert "constraint" in refused(gate(), values(13))


def test_refusals_in_a_row_open_the_way():
    rows = (*CLIFF, *(unlaunched(5 + number) for number in range(60)))
    assert refused(gate(), values(800), known=rows) == ""
    assert refused(gate(), values(800), known=(*rows, ended(65, values(16)))) != ""


def test_trials_with_flags_of_their_own_say_nothing_about_the_space():
    other = ended(9, {"dtype": "float32", **values(16)}, FailureKind.OOM_START, role=CANDIDATE)
    assert len(gate().limits((*CLIFF, other)).ended) == len(CLIFF)


def test_a_failure_that_is_no_limit_teaches_none():
    slow = ended(9, values(16), FailureKind.LOAD_FAILED)
    assert gate().limits((*CLIFF, slow)).failed == gate().limits(CLIFF).failed
    assert gate().violation(slow, (*CLIFF, slow)) > 0


def test_the_sampler_is_told_on_which_side_an_ended_trial_is():
    sides = [gate().violation(trial, CLIFF) > 0 for trial in CLIFF]
    assert sides == [False, False, False, True, True]
