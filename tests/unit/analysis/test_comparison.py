from collections.abc import Mapping
from typing import Any

from tests.fakes.builders import make_capacity, make_ladder, make_study, make_trial
from tuner.analysis.best import Contender
from tuner.analysis.comparison import Comparison, Difference, Question, Side, compare
from tuner.analysis.cost import Price
from tuner.analysis.figures import Direction
from tuner.domain.flags import FlagValue
from tuner.domain.measurement import Capacity
from tuner.domain.slo import parse_slo
from tuner.domain.trial import Provenance, TrialRole

QUESTION = Question(
    slos=(parse_slo("ttft_p95=500ms"),), target_rps=2.0, headroom=2.0, metrics=("capacity_rps", "ttft_p95"),
    directions=(Direction.MAXIMIZE, Direction.MINIMIZE),
)  # fmt: skip


def contender(
    number: int, capacity: Capacity, flags: Mapping[str, FlagValue] | None = None, *, ttft: float = 0.1, **changes: Any
) -> Contender:
    points = changes.pop("points", make_ladder(8.0, ttft=ttft))
    role = TrialRole.SAMPLED if number else TrialRole.BASELINE
    return Contender(make_trial(number, flags=flags, role=role, points=points, **changes), capacity, points)


def side(label: str, *contenders: Contender, price: Price | None = None, **spec: Any) -> Side:
    return Side(label, make_study(**spec), contenders, Provenance(device=f"{label} GPU", device_count=8), price)


def compared(*sides: Side, differences: tuple[Difference, ...] = ()) -> Comparison:
    return compare(sides, QUESTION, differences)


TUNED = {"max-num-seqs": 32}


def test_best_is_held_against_the_best_of_the_first_study():
    found = compared(
        side("new", contender(0, make_capacity(6)), contender(1, make_capacity(12), TUNED, ttft=0.05)),
        side("old", contender(0, make_capacity(5)), contender(1, make_capacity(4), TUNED)),
    )
    new, old = found.studies
    assert (new.best.trial, new.best.capacity_rps, new.best.to_first) == (1, 12, None)
    assert (old.best.trial, old.best.capacity_rps) == (0, 5)
    assert old.best.to_first is not None
    assert old.best.to_first.value == 5 / 12
    assert old.best.to_first.is_different
    assert new.baseline is not None
    assert new.baseline.capacity_rps == 6


def test_equal_command_lines_stand_side_by_side_whatever_their_trials_are_called():
    found = compared(
        side("new", contender(0, make_capacity(6)), contender(1, make_capacity(12), TUNED)),
        side("old", contender(0, make_capacity(5)), contender(7, make_capacity(4), TUNED)),
        side("third", contender(3, make_capacity(9), TUNED)),
    )
    defaults, tuned = found.configurations
    assert (defaults.matched_by, [entry.study for entry in defaults.entries]) == ("flags", ["new", "old"])
    assert [(entry.study, entry.trial) for entry in tuned.entries] == [("new", 1), ("old", 7), ("third", 3)]
    assert [entry.to_first and entry.to_first.value for entry in tuned.entries] == [None, 4 / 12, 9 / 12]


def test_what_vllm_resolves_to_the_same_is_matched_where_command_lines_are_not():
    found = compared(
        side("new", contender(1, make_capacity(6), {"max-num-seqs": 256}, fingerprint="same")),
        side("old", contender(1, make_capacity(5), {}, fingerprint="same")),
    )
    (same,) = found.configurations
    assert same.matched_by == "resolved"


def test_nothing_is_averaged_where_nothing_is_shared():
    found = compared(
        side("new", contender(1, make_capacity(6), {"max-num-seqs": 8})),
        side("old", contender(1, make_capacity(5), {"max-num-seqs": 9})),
    )
    assert found.configurations == ()


def test_a_price_belongs_to_its_study_alone_and_counts_the_gpus_of_fixed_flags():
    fixed = {"flags": {"tensor-parallel-size": 4}}
    found = compared(
        side("new", contender(0, make_capacity(3)), price=Price("new", 2.0), engine=fixed),
        side("old", contender(0, make_capacity(3))),
    )
    new, old = (study.best.bill for study in found.studies)
    assert (new.gpus_per_replica, new.replicas, new.gpus, new.per_hour) == (4, 2, 8, 16.0)
    assert (old.gpus, old.per_hour) == (2, None)


def test_a_latency_of_another_rate_is_marked():
    found = compared(
        side("new", contender(0, make_capacity(6))),
        side("old", contender(0, make_capacity(6), points=make_ladder(8.0, rates=(3.0, 8.0)))),
    )
    assert [study.best.off_target for study in found.studies] == [False, True]
    assert any("old" in note and "target rate" in note for note in found.notes)


def test_other_models_and_unbroken_capacities_are_noted():
    unbroken = make_capacity(8, upper_rps=None)
    found = compared(
        side("new", contender(0, unbroken)),
        side("old", contender(0, unbroken)),
        differences=(Difference(what="model", values={"new": "a", "old": "b"}),),
    )
    assert any("token" in note for note in found.notes)
    assert any("load.highest" in note for note in found.notes)


def test_one_study_alone_is_compared_with_nothing():
    found = compared(side("new", contender(0, make_capacity(6))))
    assert found.configurations == ()
    assert found.studies[0].best.to_first is None
    assert found.hypervolume_of_all == found.studies[0].hypervolume > 0
