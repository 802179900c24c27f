"""A page of vLLM's /metrics as one `Scrape`. Pure.

Owns the metric names of every vLLM version the tuner meets, by alias lists, newest name first: the first name that the
page has is read, so that a version with both spellings is never counted twice. Refuses to guess: a metric that the
page lacks is None, never 0.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tuner.domain.measurement import Scrape

_RUNNING = ("num_requests_running",)
_WAITING = ("num_requests_waiting",)
_KV_CACHE_USAGE = ("kv_cache_usage_perc", "gpu_cache_usage_perc")
"""A share from 0 to 1, whatever the name says."""

_PREEMPTIONS = ("num_preemptions",)
_PREFIX_CACHE_QUERIES = ("prefix_cache_queries", "gpu_prefix_cache_queries")
_PREFIX_CACHE_HITS = ("prefix_cache_hits", "gpu_prefix_cache_hits")
_PROMPT_TOKENS = ("prompt_tokens",)
_GENERATION_TOKENS = ("generation_tokens",)

_TTFT = ("time_to_first_token_seconds",)
_TPOT = (
    "request_time_per_output_token_seconds",
    "inter_token_latency_seconds",
    "time_per_output_token_seconds",
)
"""The first is a mean per request, as TPOT is defined. The others (two names of one histogram) count every token gap:
the nearest thing that older versions have."""

_GAUGES = (*_RUNNING, *_WAITING, *_KV_CACHE_USAGE)
_COUNTERS = (*_PREEMPTIONS, *_PREFIX_CACHE_QUERIES, *_PREFIX_CACHE_HITS, *_PROMPT_TOKENS, *_GENERATION_TOKENS)
_HISTOGRAMS = (*_TTFT, *_TPOT)

_WANTED = re.compile(
    rf"^vllm:(?:(?:{'|'.join(_GAUGES)})|(?:{'|'.join(_COUNTERS)})(?:_total)?"
    rf"|(?:{'|'.join(_HISTOGRAMS)})_(?:sum|count|bucket))[ {{].*$",
    re.MULTILINE,
)
"""The lines worth parsing, about one in eight: a whole page takes the parser some 15 ms of CPU, once a second, on the
machine that is being measured."""


def parse_scrape(text: str, at: float) -> Scrape:
    """Return what a page of /metrics says, summed over the engines of a data-parallel server.

    KV-cache usage is the fullest engine's.

    Args:
        text: The page, in Prometheus' text format.
        at: When it was read, in seconds since the load point's start.

    Raises:
        ValueError: a line that is not in Prometheus' text format.
    """
    samples = _samples(text)
    return Scrape(
        at=at,
        running=_total(samples, _RUNNING),
        waiting=_total(samples, _WAITING),
        kv_cache_usage=_largest(samples, _KV_CACHE_USAGE),
        preemptions=_counter(samples, _PREEMPTIONS),
        prefix_cache_queries=_counter(samples, _PREFIX_CACHE_QUERIES),
        prefix_cache_hits=_counter(samples, _PREFIX_CACHE_HITS),
        prompt_tokens=_counter(samples, _PROMPT_TOKENS),
        generation_tokens=_counter(samples, _GENERATION_TOKENS),
        ttft_sum=_total(samples, _suffixed(_TTFT, "_sum")),
        ttft_count=_total(samples, _suffixed(_TTFT, "_count")),
        ttft_buckets=_buckets(samples, _TTFT),
        tpot_sum=_total(samples, _suffixed(_TPOT, "_sum")),
        tpot_count=_total(samples, _suffixed(_TPOT, "_count")),
        tpot_buckets=_buckets(samples, _TPOT),
    )


_Samples = Mapping[str, list[Sample]]


def _samples(text: str) -> _Samples:
    # Without their TYPE lines the parser leaves sample names as they stand, which is what the alias lists expect.
    lines = "\n".join(match[0] for match in _WANTED.finditer(text)) + "\n"
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for family in text_string_to_metric_families(lines):
        for sample in family.samples:
            if not math.isnan(sample.value):
                by_name[sample.name.removeprefix("vllm:")].append(sample)
    return by_name


def _first(samples: _Samples, names: Iterable[str]) -> list[Sample]:
    for name in names:
        if found := samples.get(name):
            return found
    return []


def _total(samples: _Samples, names: Iterable[str]) -> float | None:
    found = _first(samples, names)
    return math.fsum(sample.value for sample in found) if found else None


def _largest(samples: _Samples, names: Iterable[str]) -> float | None:
    return max((sample.value for sample in _first(samples, names)), default=None)


def _counter(samples: _Samples, names: Iterable[str]) -> float | None:
    return _total(samples, (spelling for name in names for spelling in (f"{name}_total", name)))


def _buckets(samples: _Samples, names: Iterable[str]) -> dict[str, float] | None:
    counts: dict[str, float] = defaultdict(float)
    for sample in _first(samples, _suffixed(names, "_bucket")):
        counts[sample.labels["le"]] += sample.value
    return dict(counts) or None


def _suffixed(names: Iterable[str], suffix: str) -> list[str]:
    return [name + suffix for name in names]
