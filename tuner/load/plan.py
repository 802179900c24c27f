"""Owns what follows from a job before anything is sent: when its sessions start, and how many connections they need."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import ClosedLoop, TraceArrivals
from tuner.domain.errors import InputError
from tuner.domain.load import LoadJob
from tuner.load.arrivals import schedule
from tuner.load.trace_formats import TraceRequest

_SPARE_SECONDS = 0.1
"""Connections for so long are kept ready: longer than it takes to open one."""
_SPARE_USERS = 0.1
"""Share of the users whose next call, after a pause, may need a new connection at the same moment."""
_SPARE_MIN, _SPARE_MAX = 8, 256


def session_starts(job: LoadJob, seed: int, trace: Sequence[TraceRequest] | None) -> NDArray[np.float64]:
    """Return when each session starts, in seconds from the load point's zero, ascending.

    A trace is replayed once: a job of more requests than it holds has as many as it holds. Sessions that would start
    after `send_for_s` are left out.

    Args:
        job: the job.
        seed: seeds the arrivals.
        trace: the first requests of the workload's trace, in order of time; None where it replays none.

    Returns:
        An array of shape (sessions,); NaN under closed loop, where the end of a session brings the next start.

    Raises:
        InputError: trace arrivals without a trace, or with one that knows no times.
    """
    count = job.requests if trace is None else len(trace)
    moments = _moments(job, trace) if isinstance(job.arrivals, TraceArrivals) else ()
    starts = schedule(job.arrivals, count, seed, moments)
    if starts is None:
        return np.full(count, np.nan)
    return starts if job.send_for_s is None else starts[starts <= job.send_for_s]


def connections(job: LoadJob, starts: NDArray[np.float64]) -> tuple[int, int]:
    """Return how many connections to open beforehand, and how many to keep ready ahead of need."""
    if isinstance(job.arrivals, ClosedLoop):
        users = min(job.arrivals.concurrency, starts.size)
        pauses = job.workload.conversation is not None or bool(job.workload.chain)
        return users, _spare(users * _SPARE_USERS) if pauses else 0
    spare = _spare(busiest(starts, _SPARE_SECONDS))
    return min(spare, starts.size), spare


def busiest(starts: NDArray[np.float64], seconds: float) -> int:
    """Return the most starts within any span of so many seconds; `starts` ascend."""
    until = np.searchsorted(starts, starts + seconds, side="right")
    return int((until - np.arange(starts.size)).max(initial=0))


def _moments(job: LoadJob, trace: Sequence[TraceRequest] | None) -> list[float]:
    if trace is None or job.workload.trace is None:
        raise InputError("can't be replayed: the workload has no trace", where="arrivals")
    moments = [request.at for request in trace if request.at is not None]
    if len(moments) < len(trace):
        raise InputError("knows no times to replay", where=job.workload.trace.file, advice="Give a rate instead.")
    return moments


def _spare(wanted: float) -> int:
    return math.ceil(min(max(wanted, _SPARE_MIN), _SPARE_MAX))
