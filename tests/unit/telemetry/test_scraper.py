import pytest

from tuner.domain.measurement import Scrape
from tuner.telemetry.scraper import at_rest

IDLE = Scrape(at=5.0, running=0, waiting=0, generation_tokens=100, ttft_count=4)


def test_a_server_is_at_rest_when_two_readings_in_a_row_say_the_same_and_nothing_runs():
    assert at_rest(IDLE, IDLE.model_copy(update={"at": 5.05}))


@pytest.mark.parametrize(
    "change", [{"running": 1}, {"waiting": 2}, {"generation_tokens": 101}, {"ttft_count": 5}, {"running": None}]
)
def test_a_server_that_changes_runs_or_lets_wait_is_not_at_rest(change: dict[str, float | None]):
    assert not at_rest(IDLE, IDLE.model_copy(update=change))


def test_a_server_without_the_gauges_is_at_rest_once_its_counters_stand():
    bare = IDLE.model_copy(update={"running": None, "waiting": None})
    assert at_rest(bare, bare)


@pytest.mark.parametrize("pair", [(None, IDLE), (IDLE, None), (None, None)])
def test_one_reading_says_nothing(pair: tuple[Scrape | None, Scrape | None]):
    assert not at_rest(*pair)
