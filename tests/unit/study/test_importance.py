"""What mattered: which trials count, and when to doubt it."""

import numpy as np
import pytest

from tests.fakes.builders import make_point, make_study, make_trial
from tuner.analysis.figures import overview
from tuner.domain.errors import InputError
from tuner.domain.measurement import Capacity
from tuner.domain.overview import Overview
from tuner.domain.trial import TrialRole, TrialState
from tuner.study.importance import mattered, names_of

STUDY = make_study()


def sampled(number: int, seats: int, batch: int, **changes: object) -> Overview:
    flags = {"max-num-seqs": seats, "max-num-batched-tokens": batch}
    capacity = Capacity(rps=float(seats), lower_rps=seats * 0.9, upper_rps=seats * 1.1)
    points = (make_point(2.0, ttft=0.01 * seats),)
    values = {"flags": flags, "capacity": capacity, "points": points, **changes}
    return overview(make_trial(number, **values), 2.0, ("ttft_p95",))  # pyright: ignore[reportArgumentType]


def night(count: int) -> list[Overview]:
    rng = np.random.default_rng(0)
    return [sampled(n, int(rng.integers(1, 65)), int(rng.integers(64, 1025))) for n in range(count)]


@pytest.mark.parametrize("name", ["capacity_rps", "ttft_p95"])
def test_the_flag_that_decides_a_figure_comes_first_without_a_warning(name: str):
    found = mattered(STUDY, night(40), name)

    assert (found.figure, found.trials, found.warning) == (name, 40, "")
    assert found.parameters[0].parameter == "max-num-seqs"
    assert found.parameters[0].is_apart


def test_too_few_trials_are_said_to_be_too_few():
    found = mattered(STUDY, night(12), "capacity_rps")

    assert found.warning == "Too few trials to rely on this: 12 measured, 20 wanted (10 for each of 2 parameters)."
    assert not found.pairs_known


def test_where_nothing_is_told_apart_from_chance_that_is_said():
    same = [one._replace(capacity=Capacity(rps=5.0 + one.number % 3, upper_rps=None)) for one in night(40)]

    assert "chance" in mattered(STUDY, same, "capacity_rps").warning


def test_without_a_measured_trial_nothing_can_be_said():
    failed = [one._replace(state=TrialState.FAILED) for one in night(5)]

    assert mattered(STUDY, failed, "capacity_rps").warning.startswith("Nothing can be said: 0 measured trials")


def test_defaults_count_by_what_vllm_made_of_them_and_not_outside_of_the_space():
    inside = sampled(
        50, 1, 64, flags={}, role=TrialRole.BASELINE, resolved={"max-num-seqs": 8, "max-num-batched-tokens": 64}
    )
    outside = inside._replace(resolved={"max-num-seqs": 256, "max-num-batched-tokens": 64})

    assert mattered(STUDY, [*night(10), inside], "capacity_rps").trials == 11
    assert mattered(STUDY, [*night(10), outside], "capacity_rps").trials == 10


def test_without_a_target_the_objectives_are_explained():
    assert names_of(STUDY, None) == STUDY.spec.objectives
    assert names_of(STUDY, "goodput_rps") == ("goodput_rps",)


def test_a_figure_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="ttft_p42"):
        names_of(STUDY, "ttft_p42")
