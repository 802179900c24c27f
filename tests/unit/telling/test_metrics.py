"""A study's standing as Prometheus metrics."""

import re
from datetime import datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.builders import make_trial
from tests.fakes.stories import BASELINE, LATER, NIGHT, told
from tests.fakes.workbench import ROOT
from tuner.domain.events import Event, StudyStarted, TrialFinished
from tuner.domain.measurement import Capacity
from tuner.telling.metrics import StandingCollector
from tuner.telling.standing import Phase, Standing

NOW = 200.0
SINGLE = (
    "tuner_trials_budget", "tuner_target_rps", "tuner_best_trial", "tuner_best_capacity_rps",
    "tuner_best_capacity_lower_rps", "tuner_best_capacity_upper_rps", "tuner_load_point_requests_done",
    "tuner_load_point_requests_planned", "tuner_study_left_seconds", "tuner_launch_ready_seconds",
    "tuner_last_event_timestamp_seconds",
)  # fmt: skip


def registry(standing: Standing, now: datetime = LATER) -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(StandingCollector(lambda: standing, clock=lambda: NOW, now=lambda: now))
    return made


def values(standing: Standing, now: datetime = LATER) -> dict[str, float]:
    """Every sample by its name and its last label but the study, as a scraper would read them."""
    text = generate_latest(registry(standing, now)).decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = [value for name, value in sample.labels.items() if name != "study"]
            found[" ".join([sample.name, *labels])] = sample.value
    return found


def test_the_figures_of_a_night():
    found = values(told(NIGHT))
    assert {name: value for name, value in found.items() if name.startswith("tuner_trials ") and value} == {
        "tuner_trials measured": 2,
        "tuner_trials failed": 1,
    }
    assert found["tuner_trials_budget"] == 8
    assert found["tuner_target_rps"] == 2
    assert found["tuner_best_trial"] == 1
    assert found["tuner_best_capacity_rps"] == 6
    assert found["tuner_best_capacity_lower_rps"] == pytest.approx(5.4)
    assert found["tuner_best_capacity_upper_rps"] == pytest.approx(6.6)
    assert found["tuner_failures_total gpu_busy"] == found["tuner_failures_total oom_start"] == 1
    assert found["tuner_launch_ready_seconds"] == 31.5
    assert found["tuner_study_left_seconds"] == 5 * 60


@pytest.mark.parametrize("count", range(len(NIGHT) + 1))
def test_exactly_one_phase_is_on_at_any_time(count: int):
    found = values(told(NIGHT[:count]))
    phases = {name: value for name, value in found.items() if name.startswith("tuner_launch_phase ")}
    assert len(phases) == len(Phase)
    assert sum(phases.values()) == 1


def test_progress_within_a_load_point():
    found = values(told(NIGHT[:6]))
    assert found["tuner_launch_phase load"] == 1
    assert (found["tuner_load_point_requests_done"], found["tuner_load_point_requests_planned"]) == (10, 100)


def test_what_is_not_known_yet_is_absent_and_not_zero():
    found = values(told([]))
    for name in ("tuner_best_capacity_rps", "tuner_launch_ready_seconds", "tuner_study_left_seconds"):
        assert name not in found
    assert "tuner_trials_budget" not in values(told([StudyStarted("night", 0, None, 60.0)]))


def test_an_open_upper_end_is_infinite():
    trial = make_trial(0, capacity=Capacity(rps=8, lower_rps=7, upper_rps=None))
    assert values(told([TrialFinished(trial, best=0)]))["tuner_best_capacity_upper_rps"] == float("inf")


def test_the_last_event_is_told_in_unix_time_even_when_the_wall_clock_jumped_since():
    standing = told([StudyStarted("night", 0, 8, None)], standing=Standing("night", 2.0, at=0.0))
    jumped = LATER + timedelta(hours=5)
    assert values(standing, LATER)["tuner_last_event_timestamp_seconds"] == LATER.timestamp() - NOW
    assert values(standing, jumped)["tuner_last_event_timestamp_seconds"] == jumped.timestamp() - NOW


def test_every_sample_names_its_study():
    families = text_string_to_metric_families(generate_latest(registry(told(NIGHT))).decode())
    for family in families:
        for sample in family.samples:
            assert sample.name == "tuner_build_info" or sample.labels["study"] == "night"


def test_names_follow_prometheus_conventions():
    for family in registry(told(NIGHT)).collect():
        assert family.documentation.endswith(".")
        assert re.fullmatch(r"tuner_[a-z_]+", family.name)
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket")), "the library adds a counter's suffix"
        assert not re.search(r"_(ms|milliseconds|minutes|hours)", family.name), "base units"


def test_every_metric_of_the_table_is_there():
    assert {sample.partition(" ")[0] for sample in values(told(NIGHT))} == {
        *SINGLE, "tuner_build_info", "tuner_trials", "tuner_launch_phase", "tuner_failures_total"
    }  # fmt: skip


def test_a_resumed_study_does_not_start_from_zero():
    history = (BASELINE,)
    resumed: list[Event] = [StudyStarted("night", 1, 8, None, history=history, best=0)]
    found = values(told(resumed))
    assert (found["tuner_trials measured"], found["tuner_best_capacity_rps"]) == (1, 4)


@pytest.mark.parametrize("name", [*SINGLE, "tuner_trials", "tuner_launch_phase", "tuner_failures_total"])
def test_every_metric_is_documented(name: str):
    assert f"`{name}" in (ROOT / "docs" / "overnight.md").read_text()
