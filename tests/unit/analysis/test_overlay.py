import pytest

from tests.fakes.builders import make_capacity, make_ladder, make_trial
from tuner.analysis.best import Contender
from tuner.analysis.figures import Direction
from tuner.analysis.overlay import Overlay, fronts

METRICS = ("capacity_rps", "ttft_p95")
DIRECTIONS = (Direction.MAXIMIZE, Direction.MINIMIZE)


def contender(number: int, rps: float, ttft: float) -> Contender:
    points = make_ladder(8.0, ttft=ttft)
    capacity = make_capacity(rps)
    return Contender(make_trial(number, points=points, capacity=capacity), capacity, points)


def overlaid(**studies: list[Contender]) -> Overlay:
    return fronts(studies, METRICS, DIRECTIONS, target_rps=2.0, limits={"ttft_p95": 0.5})


FAST = [contender(0, 10, 0.2), contender(1, 6, 0.1), contender(2, 5, 0.3)]
SLOW = [contender(0, 4, 0.2), contender(1, 3, 0.05)]


def test_only_each_studys_own_front_is_shown_and_what_no_study_beats_comes_first():
    found = overlaid(fast=FAST, slow=SLOW)
    members = [(each.study, each.trial, each.on_common_front) for each in found.members]
    assert members == [("fast", 0, True), ("fast", 1, True), ("slow", 1, True), ("slow", 0, False)]


def test_hypervolumes_are_measured_from_one_reference():
    found = overlaid(fast=FAST, slow=SLOW)
    assert found.reference == {"capacity_rps": 0.0, "ttft_p95": 0.5}
    assert found.volumes["fast"] == pytest.approx(10 * 0.3 + 6 * 0.1)
    assert found.volumes["slow"] == pytest.approx(4 * 0.3 + 3 * 0.15)
    assert max(found.volumes.values()) < found.volume_of_all < sum(found.volumes.values())


def test_a_studys_volume_does_not_depend_on_what_it_is_compared_with():
    assert overlaid(fast=FAST).volumes["fast"] == overlaid(fast=FAST, slow=SLOW).volumes["fast"]


def test_what_lacks_a_figure_is_named_and_on_no_front():
    lacking = Contender(make_trial(3), make_capacity(50.0), ())
    found = overlaid(fast=[*FAST, lacking], slow=[lacking])
    assert found.without_figures == {"fast": (3,), "slow": (3,)}
    assert {each.study for each in found.members} == {"fast"}
    assert found.volumes["slow"] == 0
