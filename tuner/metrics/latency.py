"""Owns the definition of every latency, each once, in seconds. Decides nothing about percentiles or limits.

The formulas are vLLM's (`vllm/benchmarks/serve.py`, `calculate_metrics`), with one difference on purpose: they count
from the intended start. Under closed loop the intended start is the moment of sending, and both agree.

Every function takes request records and returns an array of shape (requests,) unless it says otherwise; a latency that
a request does not have is NaN.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.domain.load import RequestRecord
from tuner.domain.slo import Latency
from tuner.metrics.columns import Columns

Seconds = NDArray[np.float64]
Records = Sequence[RequestRecord] | Columns


def ttft(records: Records) -> Seconds:
    """Time to first token: first token event - intended start."""
    return _first(records) - _scheduled(records)


def ttft_from_send(records: Records) -> Seconds:
    """Time to first token as tools without a schedule count it: first token event - sending."""
    return _first(records) - _sent(records)


def e2e(records: Records) -> Seconds:
    """End-to-end latency: last token event - intended start."""
    return _last(records) - _scheduled(records)


def tpot(records: Records) -> Seconds:
    """Time per output token: (end-to-end latency - TTFT) / (output tokens - 1), NaN below two output tokens.

    Output tokens are the server's `usage`, so events of several tokens don't bend it.
    """
    gaps = _output_tokens(records) - 1
    return np.divide(e2e(records) - ttft(records), gaps, out=np.full(len(records), np.nan), where=gaps > 0)


def itl(records: Records) -> Seconds:
    """Inter-token latency: every gap between two token events of a request, of all requests, shape (gaps,).

    It is a gap between events, as vLLM's: where an event carries several tokens it is not one between tokens.
    """
    if isinstance(records, Columns):
        return records.gaps()[0]
    gaps = [np.diff(record.event_times) for record in records]
    return np.concatenate(gaps) if gaps else np.empty(0)


def longest_itl(records: Records) -> Seconds:
    """The longest gap between two token events of each request."""
    if isinstance(records, Columns):
        return _longest_of(*records.gaps())
    return _column(_longest_gap(record.event_times) for record in records)


_OF_REQUEST: dict[Latency, Callable[[Records], Seconds]] = {
    Latency.TTFT: ttft,
    Latency.TPOT: tpot,
    Latency.ITL: longest_itl,
    Latency.E2E: e2e,
}


def of_request(latency: Latency, records: Records) -> Seconds:
    """Return the latency by which each request is judged on its own; for ITL that is its longest gap."""
    return _OF_REQUEST[latency](records)


def _scheduled(records: Records) -> Seconds:
    if isinstance(records, Columns):
        return records.scheduled_at
    return _column(record.scheduled_at for record in records)


def _sent(records: Records) -> Seconds:
    return records.sent_at if isinstance(records, Columns) else _column(record.sent_at for record in records)


def _output_tokens(records: Records) -> Seconds:
    if isinstance(records, Columns):
        return records.output_tokens.astype(np.float64)
    return _column(record.output_tokens for record in records)


def _first(records: Records) -> Seconds:
    if isinstance(records, Columns):
        return records.first
    return _column(record.event_times[0] if record.event_times else np.nan for record in records)


def _last(records: Records) -> Seconds:
    if isinstance(records, Columns):
        return records.last
    return _column(record.event_times[-1] if record.event_times else np.nan for record in records)


def _column(values: Iterable[float]) -> Seconds:
    return np.fromiter(values, dtype=np.float64)


def _longest_of(gaps: Seconds, counts: NDArray[np.int64]) -> Seconds:
    """Return each request's longest gap, given all gaps and how many each request has."""
    longest = np.full(counts.size, np.nan)
    has_gaps = counts > 0
    if gaps.size:
        longest[has_gaps] = np.maximum.reduceat(gaps, (np.cumsum(counts) - counts)[has_gaps])
    return longest


def _longest_gap(times: Sequence[float]) -> float:
    return float(np.diff(times).max()) if len(times) > 1 else float("nan")
