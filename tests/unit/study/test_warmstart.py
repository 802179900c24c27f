"""Which configurations of an earlier study are taken, and what is left of them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.builders import make_ladder, make_spec, make_study, make_trial
from tuner.domain.errors import InputError
from tuner.domain.measurement import Capacity
from tuner.domain.study import StudySpec
from tuner.domain.trial import Provenance, Trial, TrialRole, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.writer import open_store
from tuner.study.warmstart import MOST, chosen, warm_start


def measured(number: int, rps: float, ttft: float = 0.1, role: TrialRole = TrialRole.SAMPLED, **flags: Any) -> Trial:
    capacity = Capacity(rps=rps, lower_rps=rps * 0.9, upper_rps=rps * 1.1)
    points = make_ladder(rps, ttft=ttft)
    named = {name.replace("_", "-"): value for name, value in flags.items()}
    return make_trial(number, role=role, flags=named, points=points, capacity=capacity)


TRIALS = (
    measured(0, 4.0, role=TrialRole.BASELINE),
    measured(1, 6.0, ttft=0.2, max_num_seqs=16, dtype="float16"),
    measured(2, 5.0, ttft=0.05, max_num_seqs=8),
    measured(3, 4.5, ttft=0.3, max_num_seqs=4),
    make_trial(4, state=TrialState.FAILED, flags={"max-num-seqs": 64}),
)


def test_the_answer_comes_first_then_the_front_and_nothing_dominated_or_failed():
    """Trial 2 has the headroom that an answer asks for, and the better TTFT; trial 1 the higher capacity."""
    assert [trial.number for trial in chosen(make_study(), TRIALS)] == [2, 1]


def test_the_defaults_are_left_out_unless_they_are_all_there_is():
    assert [trial.number for trial in chosen(make_study(), TRIALS[:1])] == [0]


def test_a_study_without_figures_gives_nothing():
    assert chosen(make_study(), TRIALS[4:]) == ()


def test_no_more_than_a_few_are_taken():
    many = tuple(measured(n, 3.0 + n / 10, ttft=0.02 * (n + 1), max_num_seqs=n + 1) for n in range(12))
    assert len(chosen(make_study(), many)) == MOST


@pytest.fixture
def own(tmp_path: Path) -> DatabaseLocation:
    """A result file that holds the study `night`, its trials measured."""
    location = DatabaseLocation.parse(str(tmp_path / "results.db"))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with open_store(location) as store:
        store.create_study(1, make_spec(), Provenance(device="A100"), now)
        for trial in TRIALS[:4]:
            store.begin_trial(
                trial.id, 1, trial.number, role=trial.role, flags=trial.flags, resolved={},
                fingerprint="", started_at=now,
            )  # fmt: skip
            launch = store.begin_launch(
                trial.id, 1, argv=("vllm",), log_path="x", started_at=now, provenance=Provenance()
            )
            for point in trial.load_points:
                store.save_load_point(trial.id, launch, point, (), ())
            store.finish_trial(trial.id, trial.state, ended_at=now, capacity=trial.capacity, values={"capacity_rps": 1})
    return location


def later(**warm: Any) -> StudySpec:
    return make_spec(study="later", warm_start={"study": "night", **warm})


def test_flags_that_this_space_does_not_tune_are_dropped_and_said(own: DatabaseLocation):
    said: list[str] = []
    assert warm_start(later(), own, said.append) == ({"max-num-seqs": 8}, {"max-num-seqs": 16})
    assert said == [
        "warm start: dtype of trial 1 left out: not in this search space",
        "warm start: 2 configurations of night will be measured anew",
    ]


def test_another_result_file_can_be_named(own: DatabaseLocation, tmp_path: Path):
    elsewhere = DatabaseLocation.parse(str(tmp_path / "other.db"))
    found = warm_start(later(db=str(own.path)), elsewhere, lambda _: None)
    assert len(found) == 2


def test_a_study_without_a_warm_start_takes_nothing(own: DatabaseLocation):
    assert warm_start(make_spec(), own, lambda _: None) == ()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (later(study="dawn"), "has no study named 'dawn'; there are: night"),
        (make_spec(warm_start="night"), "can't start from itself"),
        (later(db="/no/such.db"), "no such result file"),
    ],
)
def test_what_can_not_be_is_refused_with_its_reason(own: DatabaseLocation, spec: StudySpec, reason: str):
    with pytest.raises(InputError, match=reason):
        warm_start(spec, own, lambda _: None)
