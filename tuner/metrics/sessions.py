"""Owns the figures of user requests of several calls, and of their single steps. Knows no limit.

Everything comes from request records: a session's calls carry its number, a call its step and, in a chain or a mix of
classes, its label. Other work between calls shows in their times; work before a session's first call does not, and is
added as the workload says it. Work after the last call belongs to no duration.

The idle share is the share of time in which no call was in flight: one minus the measure of the union of all
[sent, ended] intervals, over the time from the first sending to the last end. It belongs to the number of users that
were there: a single user of a chain leaves the engine idle while other work is done, many users fill each other's gaps.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from tuner.domain.load import Outcome, RequestRecord
from tuner.domain.measurement import SessionFigures, StepFigures
from tuner.domain.workload import FixedPause, Workload
from tuner.metrics.distributions import distribution
from tuner.metrics.latency import e2e, tpot, ttft

Interval = tuple[float, float]
Records = Sequence[RequestRecord]


def lead_of(workload: Workload) -> float:
    """Return the other work before the first call of a chain, in seconds, on average; 0 for other workloads."""
    lead = 0.0
    for step in workload.chain:
        lead += step.before.seconds if isinstance(step.before, FixedPause) else step.before.mean
        if step.is_call:
            break
    return lead


def session_figures(records: Records, *, lead_s: float = 0.0) -> SessionFigures | None:
    """Return the figures of all sessions; None where every request stands for itself.

    Args:
        records: of a whole load point.
        lead_s: other work before each session's first call.
    """
    sessions = list(_by_session(records).values())
    if not sessions:
        return None
    done = [calls for calls in sessions if all(call.outcome is Outcome.OK for call in calls)]
    durations = np.array([lead_s + _duration(calls) for calls in done])
    alone = [share for calls in done if (share := _idle_within(calls, lead_s)) is not None]
    return SessionFigures(
        completed=len(done),
        failed=len(sessions) - len(done),
        duration=distribution(durations),
        calls_mean=float(np.mean([len(calls) for calls in done or sessions])),
        idle_share=idle_share(_in_flight(records)),
        idle_share_one_user=float(np.mean(alone)) if alone else None,
    )


def step_figures(records: Records) -> tuple[StepFigures, ...]:
    """Return the figures of each step, turn or class, in the order of steps; empty where requests have none."""
    groups: Mapping[tuple[int, str], list[RequestRecord]] = defaultdict(list)
    for record in records:
        if name := _step_name(record):
            groups[record.step, name].append(record)
    return tuple(starmap(_step, ((name, groups[step, name]) for step, name in sorted(groups))))


def idle_share(intervals: Sequence[Interval]) -> float:
    """Return the share of time, first start to last end, that no interval covers; 0 without any such time."""
    if not intervals:
        return 0.0
    starts, ends = _columns(intervals)
    whole = float(ends.max() - starts.min())
    return max(0.0, 1.0 - _covered(starts, ends) / whole) if whole > 0 else 0.0


def _covered(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> float:
    """Return the measure of a union of intervals: what each adds to the right of all that began before it."""
    order = np.argsort(starts)
    starts, ends = starts[order], ends[order]
    reached = np.maximum.accumulate(ends)
    before = np.concatenate(([-np.inf], reached[:-1]))
    return float(np.clip(ends - np.maximum(starts, before), 0.0, None).sum())


def _columns(intervals: Sequence[Interval]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    both = np.array(intervals, dtype=np.float64)
    return both[:, 0], both[:, 1]


def _in_flight(records: Iterable[RequestRecord]) -> list[Interval]:
    """Return when each call that was sent was in flight."""
    return [(record.sent_at, record.finished_at) for record in records if record.sent_at <= record.finished_at]


def _by_session(records: Records) -> Mapping[int, list[RequestRecord]]:
    sessions: Mapping[int, list[RequestRecord]] = defaultdict(list)
    for record in records:
        if record.session >= 0:
            sessions[record.session].append(record)
    return sessions


def _duration(calls: Records) -> float:
    return max(call.event_times[-1] for call in calls) - min(call.scheduled_at for call in calls)


def _idle_within(calls: Records, lead_s: float) -> float | None:
    """Return the share of a session's own duration without a call in flight; None where it took no time."""
    duration = lead_s + _duration(calls)
    starts, ends = _columns([(call.sent_at, call.event_times[-1]) for call in calls])
    return max(0.0, 1.0 - _covered(starts, ends) / duration) if duration > 0 else None


def _step_name(record: RequestRecord) -> str:
    return record.label or (f"turn {record.step + 1}" if record.session >= 0 else "")


def _step(label: str, records: Records) -> StepFigures:
    done = [record for record in records if record.outcome is Outcome.OK]
    return StepFigures(
        label=label,
        completed=len(done),
        failed=len(records) - len(done),
        ttft=distribution(ttft(done)),
        tpot=distribution(tpot(done)),
        e2e=distribution(e2e(done)),
    )
