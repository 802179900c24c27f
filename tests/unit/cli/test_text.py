"""Figures and configurations as short text."""

import pytest

from tests.fakes.builders import make_trial
from tuner.cli.text import bounds_text, duration_text, flags_text, outcome_text, plural
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.trial import TrialState


def test_a_configuration_is_one_line_and_no_flags_are_the_defaults():
    flags = {"max-num-seqs": 64, "enable-prefix-caching": False, "gpu-memory-utilization": 0.123456}
    assert flags_text(flags) == "max-num-seqs 64, enable-prefix-caching false, gpu-memory-utilization 0.1235"
    assert flags_text({}) == "vLLM's defaults"


@pytest.mark.parametrize(
    ("rps", "lower", "upper", "text"),
    [(6, 5.5, 6.41, "6 req/s (5.5–6.41)"), (8, 8, None, "≥ 8 req/s"), (0, 0, 2, "< 2 req/s")],
)
def test_a_capacity_says_which_of_its_bounds_is_known(rps: float, lower: float, upper: float | None, text: str):
    assert bounds_text(rps, lower, upper) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (42.4, "42 s"), (200, "3 min 20 s"), (25_500, "7 h 05 min"), (-3, "0 s")]
)
def test_durations(seconds: float, text: str):
    assert duration_text(seconds) == text


def test_what_became_of_a_trial():
    failure = Failure(kind=FailureKind.OOM_START, evidence="CUDA out of memory")
    assert outcome_text(make_trial(1, state=TrialState.FAILED, failure=failure)) == "failed: oom_start"
    assert outcome_text(make_trial(1, state=TrialState.DUPLICATE, duplicate_of=0)) == "same as trial 0"
    assert outcome_text(make_trial(1)) == "measured"


def test_plurals():
    assert [plural(1, "trial"), plural(2, "trial")] == ["1 trial", "2 trials"]
