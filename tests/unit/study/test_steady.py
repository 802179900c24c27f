from datetime import UTC, datetime, timedelta

from tuner.study.steady import steady

BEGAN = datetime(2026, 1, 1, 18, 0, tzinfo=UTC)


def test_it_begins_at_the_time_of_day_and_goes_on_by_the_clock_alone():
    times = iter([BEGAN, BEGAN + timedelta(days=1)])
    ticks = iter([100.0, 100.0, 160.0])
    now = steady(wall=lambda: next(times), clock=lambda: next(ticks))
    assert now() == BEGAN
    assert now() == BEGAN + timedelta(seconds=60)


def test_without_arguments_it_is_local_and_never_goes_back():
    now = steady()
    first = now()
    assert first.tzinfo is not None
    assert now() >= first
