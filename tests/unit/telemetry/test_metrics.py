from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tuner.domain.measurement import Scrape
from tuner.telemetry.metrics import parse_scrape

PAGES = Path(__file__).parents[2] / "data" / "metrics"
RECORDED = (PAGES / "vllm-0.32.0.txt").read_text()
OLD_STYLE = (PAGES / "vllm-0.8-style.txt").read_text()


def test_the_recorded_page_of_vllm_0_32_is_read():
    scrape = parse_scrape(RECORDED, 1.5)
    assert (scrape.at, scrape.running, scrape.waiting, scrape.kv_cache_usage) == (1.5, 0.0, 0.0, 0.0)
    assert (scrape.prompt_tokens, scrape.generation_tokens, scrape.preemptions) == (4.0, 4.0, 0.0)
    assert (scrape.prefix_cache_queries, scrape.prefix_cache_hits) == (4.0, 0.0)
    assert (scrape.ttft_sum, scrape.ttft_count) == (0.0546269416809082, 1.0)


def test_tpot_is_the_per_request_histogram_and_not_the_per_token_one():
    scrape = parse_scrape(RECORDED, 0.0)
    assert (scrape.tpot_sum, scrape.tpot_count) == (0.007455033000004126, 1.0)


def test_the_prefilter_loses_nothing_that_the_whole_page_would_give():
    whole = {
        sample.name: sample.value
        for family in text_string_to_metric_families(RECORDED)
        for sample in family.samples
        if "le" not in sample.labels
    }
    buckets = [
        (sample.labels["le"], sample.value)
        for family in text_string_to_metric_families(RECORDED)
        for sample in family.samples
        if sample.name == "vllm:time_to_first_token_seconds_bucket"
    ]
    scrape = parse_scrape(RECORDED, 0.0)
    assert scrape.generation_tokens == whole["vllm:generation_tokens_total"]
    assert scrape.prefix_cache_queries == whole["vllm:prefix_cache_queries_total"]
    assert scrape.ttft_sum == whole["vllm:time_to_first_token_seconds_sum"]
    assert scrape.ttft_buckets == dict(buckets)
    assert len(buckets) == 23


def test_old_names_are_read():
    scrape = parse_scrape(OLD_STYLE, 0.0)
    assert (scrape.tpot_sum, scrape.tpot_count) == (2.0, 40.0)
    assert scrape.tpot_buckets == {"0.01": 12.0, "+Inf": 40.0}


def test_engines_are_summed_and_the_fullest_kv_cache_counts():
    scrape = parse_scrape(OLD_STYLE, 0.0)
    assert (scrape.running, scrape.waiting) == (7.0, 5.0)
    assert scrape.kv_cache_usage == 0.75
    assert (scrape.prefix_cache_queries, scrape.prefix_cache_hits) == (160.0, 16.0)
    assert (scrape.prompt_tokens, scrape.ttft_sum, scrape.ttft_count) == (800.0, 2.0, 10.0)
    assert scrape.ttft_buckets == {"0.001": 2.0, "+Inf": 10.0}


def test_a_missing_metric_is_unknown_and_not_zero():
    scrape = parse_scrape(OLD_STYLE, 0.0)
    assert scrape.preemptions is None
    assert scrape.generation_tokens is None


@pytest.mark.parametrize("page", ["", "\n", "# only a comment\n", "<html/>", "process_cpu_seconds_total 8.0\n"])
def test_a_page_without_vllm_metrics_reads_as_all_unknown(page: str):
    assert parse_scrape(page, 2.0) == Scrape(at=2.0)


def test_a_metric_under_both_names_is_counted_once():
    page = (
        'vllm:kv_cache_usage_perc{engine="0"} 0.5\nvllm:gpu_cache_usage_perc{engine="0"} 0.9\n'
        'vllm:inter_token_latency_seconds_sum{engine="0"} 3.0\nvllm:time_per_output_token_seconds_sum{engine="0"} 3.0\n'
    )
    scrape = parse_scrape(page, 0.0)
    assert (scrape.kv_cache_usage, scrape.tpot_sum) == (0.5, 3.0)


def test_metrics_whose_names_only_begin_alike_are_left_out():
    page = (
        'vllm:num_requests_waiting{engine="0"} 2.0\n'
        'vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 2.0\n'
        'vllm:prompt_tokens_total{engine="0"} 7.0\nvllm:prompt_tokens_created{engine="0"} 1.8e9\n'
        'vllm:prompt_tokens_by_source_total{engine="0",source="local_compute"} 7.0\n'
    )
    scrape = parse_scrape(page, 0.0)
    assert (scrape.waiting, scrape.prompt_tokens) == (2.0, 7.0)


def test_a_counter_without_its_suffix_and_a_metric_without_labels_are_read():
    scrape = parse_scrape("vllm:prompt_tokens 7\nvllm:num_requests_running 2\nvllm:num_requests_waiting NaN\n", 0.0)
    assert (scrape.prompt_tokens, scrape.running, scrape.waiting) == (7.0, 2.0, None)


def test_a_line_that_is_no_metric_is_an_error():
    with pytest.raises(ValueError, match="could not convert"):
        parse_scrape('vllm:prompt_tokens_total{engine="0"} soon\n', 0.0)
