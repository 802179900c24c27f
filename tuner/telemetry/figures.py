"""What a load point's scrapes say together. Pure.

The first scrape is the one before the load, the last the one after it; those between were taken under load, once it
had begun. Counters give differences, gauges are read under load only. What can't be known is None: a metric the server
lacks, a counter that ran backwards because the server restarted, a total whose scrape before the load is missing.
"""

from collections.abc import Sequence
from operator import attrgetter
from statistics import fmean

from tuner.domain.measurement import Scrape, ServerFigures


def server_figures(scrapes: Sequence[Scrape], duration: float | None = None) -> ServerFigures:
    """Return the figures of a load point's scrapes, in order of time.

    Counts are totals from before to after, rates are per second of the load, latencies are means in seconds by the
    histograms' exact sums and counts.

    Args:
        scrapes: the readings, `at` in seconds since the load's start.
        duration: seconds of the load; without it, the time between the first scrape and the last.
    """
    running, waiting = _under_load(scrapes, "running"), _under_load(scrapes, "waiting")
    prompt_tokens, generation_tokens = _growth(scrapes, "prompt_tokens"), _growth(scrapes, "generation_tokens")
    ttft_count = _growth(scrapes, "ttft_count")
    seconds = duration if duration or not scrapes else scrapes[-1].at - scrapes[0].at
    return ServerFigures(
        running_mean=fmean(running) if running else None,
        running_max=max(running, default=None),
        waiting_mean=fmean(waiting) if waiting else None,
        waiting_max=max(waiting, default=None),
        kv_cache_usage_max=max(_under_load(scrapes, "kv_cache_usage"), default=None),
        preemptions=_growth(scrapes, "preemptions"),
        prefix_cache_hit_rate=_ratio(_growth(scrapes, "prefix_cache_hits"), _growth(scrapes, "prefix_cache_queries")),
        prompt_tokens=prompt_tokens,
        generation_tokens=generation_tokens,
        prompt_tokens_per_s=_ratio(prompt_tokens, seconds),
        generation_tokens_per_s=_ratio(generation_tokens, seconds),
        ttft_mean=_ratio(_growth(scrapes, "ttft_sum"), ttft_count),
        ttft_count=ttft_count,
        tpot_mean=_ratio(_growth(scrapes, "tpot_sum"), _growth(scrapes, "tpot_count")),
    )


def _under_load(scrapes: Sequence[Scrape], metric: str) -> list[float]:
    # A scrape at a negative time was taken while the load generator was still starting.
    readings = (getattr(scrape, metric) for scrape in scrapes[1:-1] if scrape.at >= 0)
    return [value for value in readings if value is not None]


def _growth(scrapes: Sequence[Scrape], counter: str) -> float | None:
    values: list[float | None] = list(map(attrgetter(counter), scrapes))
    known = [value for value in values if value is not None]
    complete = len(scrapes) > 1 and scrapes[0].at <= 0 and values[0] is not None and values[-1] is not None
    if not complete or known != sorted(known):
        return None
    return known[-1] - known[0]


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
