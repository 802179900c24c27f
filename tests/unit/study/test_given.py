"""What comes before the sampler, in which order, and how suggestions are fitted into a space."""

from typing import Any

import pytest

from tests.fakes.builders import make_trial
from tuner.domain.flags import Flags
from tuner.domain.space import SearchSpace
from tuner.domain.trial import Trial, TrialRole, TrialState
from tuner.study.given import Given, fitted

CANDIDATE, WARM, SUGGESTED = ({"max-num-seqs": seqs} for seqs in (8, 16, 32))
GIVEN = Given((CANDIDATE,), (WARM,), lambda _: (SUGGESTED,))


def trial(number: int, role: TrialRole, flags: Flags, state: TrialState = TrialState.MEASURED) -> Trial:
    return make_trial(number, role=role, flags=flags, state=state)


BASELINE = trial(0, TrialRole.BASELINE, {})
ALL = (
    BASELINE,
    trial(1, TrialRole.CANDIDATE, CANDIDATE),
    trial(2, TrialRole.WARM_START, WARM),
    trial(3, TrialRole.SUGGESTED, SUGGESTED),
)


@pytest.mark.parametrize(
    ("history", "role"),
    [
        ((), TrialRole.BASELINE),
        (ALL[:1], TrialRole.CANDIDATE),
        (ALL[:2], TrialRole.WARM_START),
        (ALL[:3], TrialRole.SUGGESTED),
        (ALL, None),
    ],
)
def test_the_order_is_defaults_candidates_warm_start_head_start(history: tuple[Trial, ...], role: TrialRole | None):
    wanted = next(GIVEN.due(history), None)
    assert (wanted and wanted.role) == role


@pytest.mark.parametrize("role", [TrialRole.CANDIDATE, TrialRole.WARM_START, TrialRole.SUGGESTED])
def test_what_was_interrupted_is_due_again_and_what_failed_is_not(role: TrialRole):
    place = next(index for index, one in enumerate(ALL) if one.role is role)
    flags = ALL[place].flags
    interrupted = (*ALL[:place], trial(place, role, flags, TrialState.INTERRUPTED))
    failed = (*ALL[:place], trial(place, role, flags, TrialState.FAILED), *ALL[place + 1 :])
    again = next(GIVEN.due(interrupted))
    assert (again.role, again.flags) == (role, flags)
    assert next(GIVEN.due(failed), None) is None


def test_a_sampled_trial_that_was_lost_is_measured_later():
    lost = trial(4, TrialRole.SAMPLED, {"max-num-seqs": 5}, TrialState.INTERRUPTED)
    later = trial(5, TrialRole.SAMPLED, {"max-num-seqs": 5})
    assert [wanted.flags for wanted in GIVEN.due((*ALL, lost))] == [{"max-num-seqs": 5}]
    assert list(GIVEN.due((*ALL, lost, later))) == []


def test_the_head_start_is_not_asked_for_before_it_is_due():
    def never(_: object) -> tuple[Flags, ...]:
        raise AssertionError("asked too early")

    assert next(Given((CANDIDATE,), (), never).due((BASELINE,))).role is TrialRole.CANDIDATE


def space(parameters: dict[str, Any], *constraints: str) -> SearchSpace:
    return SearchSpace.model_validate({"parameters": parameters, "constraints": constraints})


SEQS = {"type": "int", "low": 8, "high": 64, "log": True}
PLAIN = {"max-num-seqs": SEQS, "max-num-batched-tokens": {"type": "int", "low": 512, "high": 4096, "step": 256}}


def suggestion(seqs: int, batched: int) -> Flags:
    return {"max-num-seqs": seqs, "max-num-batched-tokens": batched}


@pytest.mark.parametrize(
    ("suggested", "expected"),
    [
        (suggestion(32, 1024), suggestion(32, 1024)),
        (suggestion(4, 128), suggestion(8, 512)),
        (suggestion(256, 16384), suggestion(64, 4096)),
        (suggestion(48, 1100), suggestion(48, 1024)),
    ],
)
def test_suggestions_are_clipped_to_ranges_and_steps(suggested: Flags, expected: Flags):
    assert fitted(space(PLAIN), {}, [suggested]) == (expected,)


def test_what_the_space_does_not_tune_is_left_out_and_twins_are_dropped():
    found = fitted(space({"max-num-seqs": SEQS}), {}, [suggestion(64, 512), suggestion(128, 512), suggestion(16, 512)])
    assert found == ({"max-num-seqs": 64}, {"max-num-seqs": 16})


def test_choices_take_the_nearest_number():
    choices = {"max-num-seqs": {"type": "categorical", "choices": [16, 64, 256]}}
    assert fitted(space(choices), {}, [{"max-num-seqs": 80}]) == ({"max-num-seqs": 64},)


def test_a_suggestion_that_the_space_or_vllm_refuses_is_dropped():
    assert fitted(space(PLAIN, "max-num-batched-tokens >= 100 * max-num-seqs"), {}, [suggestion(64, 4096)]) == ()
    assert fitted(space({"max-num-seqs": SEQS}), {"max-num-batched-tokens": 32}, [{"max-num-seqs": 64}]) == ()


def test_a_space_of_other_flags_gets_no_suggestion():
    assert fitted(space({"enable-prefix-caching": {"type": "bool"}}), {}, [suggestion(64, 512)]) == ()
