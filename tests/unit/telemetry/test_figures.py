import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.measurement import Scrape, ServerFigures
from tuner.telemetry.figures import server_figures

BEFORE = Scrape(
    at=-0.5, running=0, waiting=0, kv_cache_usage=0.0, preemptions=2, prefix_cache_queries=100, prefix_cache_hits=10,
    prompt_tokens=1000, generation_tokens=500, ttft_sum=1.0, ttft_count=10, tpot_sum=0.25, tpot_count=10,
)  # fmt: skip
DURING = (
    Scrape(at=1.0, running=4, waiting=0, kv_cache_usage=0.2, prompt_tokens=1200, generation_tokens=600, preemptions=2),
    Scrape(at=2.0, running=8, waiting=3, kv_cache_usage=0.6, prompt_tokens=1500, generation_tokens=800, preemptions=3),
)
AFTER = Scrape(
    at=4.5, running=0, waiting=0, kv_cache_usage=0.0, preemptions=3, prefix_cache_queries=300, prefix_cache_hits=60,
    prompt_tokens=2000, generation_tokens=1500, ttft_sum=3.0, ttft_count=20, tpot_sum=0.5, tpot_count=20,
)  # fmt: skip


def test_counters_give_differences_and_gauges_are_read_under_load():
    assert server_figures((BEFORE, *DURING, AFTER)) == ServerFigures(
        running_mean=6.0,
        running_max=8.0,
        waiting_mean=1.5,
        waiting_max=3.0,
        kv_cache_usage_max=0.6,
        preemptions=1.0,
        prefix_cache_hit_rate=0.25,
        prompt_tokens=1000.0,
        generation_tokens=1000.0,
        prompt_tokens_per_s=200.0,
        generation_tokens_per_s=200.0,
        ttft_mean=0.2,
        ttft_count=10.0,
        tpot_mean=0.025,
    )


def test_rates_are_per_second_of_the_load_where_its_duration_is_known():
    figures = server_figures((BEFORE, *DURING, AFTER), 4.0)
    assert (figures.prompt_tokens_per_s, figures.generation_tokens_per_s) == (250.0, 250.0)


def test_a_scrape_while_the_load_generator_was_starting_is_not_under_load():
    early = DURING[0].model_copy(update={"at": -0.1, "running": 0})
    assert server_figures((BEFORE, early, *DURING, AFTER)).running_mean == 6.0


@pytest.mark.parametrize("scrapes", [(), (BEFORE,)])
def test_too_few_scrapes_say_nothing(scrapes: tuple[Scrape, ...]):
    assert server_figures(scrapes) == ServerFigures()


def test_without_scrapes_under_load_the_gauges_are_unknown_and_the_counters_are_not():
    figures = server_figures((BEFORE, AFTER))
    assert (figures.running_mean, figures.waiting_max, figures.kv_cache_usage_max) == (None, None, None)
    assert figures.generation_tokens == 1000.0


def test_without_the_scrape_before_the_load_totals_are_unknown():
    figures = server_figures((*DURING, AFTER))
    assert (figures.generation_tokens, figures.generation_tokens_per_s, figures.preemptions) == (None, None, None)


def test_a_counter_that_ran_backwards_is_unknown_even_when_it_overtook_its_start():
    restarted = DURING[1].model_copy(update={"generation_tokens": 7.0})
    figures = server_figures((BEFORE, DURING[0], restarted, AFTER))
    assert figures.generation_tokens is None
    assert figures.prompt_tokens == 1000.0


def test_a_ratio_over_nothing_is_unknown():
    figures = server_figures((BEFORE, BEFORE.model_copy(update={"at": 1.0})))
    assert (figures.prefix_cache_hit_rate, figures.ttft_mean, figures.tpot_mean) == (None, None, None)
    assert figures.preemptions == 0.0


def test_a_metric_the_server_lacks_stays_unknown():
    bare = tuple(Scrape(at=float(at)) for at in range(-1, 4))
    assert server_figures(bare) == ServerFigures()


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=20))
def test_the_total_of_a_growing_counter_is_the_sum_of_its_steps(steps: list[float]):
    totals = [sum(steps[:count]) for count in range(len(steps) + 1)]
    scrapes = tuple(Scrape(at=float(index), prompt_tokens=total) for index, total in enumerate(totals))
    assert server_figures(scrapes).prompt_tokens == pytest.approx(sum(steps))
