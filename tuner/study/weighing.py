"""Reads the request records of many trials and weighs them, on all CPUs where there are many.

Owns how the work is shared out; what requests say, `tuner.metrics.hindsight` owns. Worker processes read the result
file themselves, and hand back a few numbers for each load point.
"""

import multiprocessing
import os
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Protocol

from tuner.domain.load import Outcome
from tuner.metrics.columns import Columns
from tuner.metrics.hindsight import Case, Question, Weighed, weigh
from tuner.store.batches import batches
from tuner.store.location import DatabaseLocation
from tuner.store.reader import Reader, open_reader
from tuner.store.records_codec import RecordColumns

_WORTH_IT = 500
"""Trials that pay for the start of a worker process, half a second."""
_AT_ONCE = 250
"""Trials that a worker takes at a time."""


class Records(Protocol):
    """Where request records are read: `tuner.store.reader.Reader`."""

    def record_columns(self, trial_ids: Sequence[int]) -> Generator[tuple[int, int, RecordColumns]]:
        """Yield trial id, load point's index and records, trial by trial."""
        ...


def weighed(
    question: Question, cases: Mapping[int, Case], records: Records | None, processes: int | None = None
) -> dict[int, Weighed]:
    """Return what the requests of trials say, by trial id; trials without any record are missing.

    Args:
        question: what they are asked.
        cases: trials by id.
        records: the result file; None has no records.
        processes: how many share the work; without it as many as pay off.
    """
    if records is None or not cases:
        return {}
    workers = processes or min(len(os.sched_getaffinity(0)), len(cases) // _WORTH_IT)
    if isinstance(records, Reader) and workers > 1:
        return _shared_out(question, cases, records.location, workers)
    return _weighed(question, cases, records)


def requests_by_trial(records: Records, trial_ids: Sequence[int]) -> Generator[tuple[int, Mapping[int, Columns]]]:
    """Yield each trial's requests by load point; trials, and load points, without records are left out."""
    for trial_id, group in groupby(records.record_columns(trial_ids), key=itemgetter(0)):
        yield trial_id, {index: columns_of(columns) for _, index, columns in group if columns.event_counts.size}


def columns_of(stored: RecordColumns) -> Columns:
    """Return what judging needs of stored records."""
    return Columns(
        scheduled_at=stored.scheduled_at,
        sent_at=stored.sent_at,
        finished_at=stored.finished_at,
        ok=stored.outcomes.are(Outcome.OK),
        cancelled=stored.outcomes.are(Outcome.CANCELLED),
        output_tokens=stored.output_tokens,
        steps=stored.step,
        event_counts=stored.event_counts,
        event_times=stored.event_times,
    )


def _weighed(question: Question, cases: Mapping[int, Case], records: Records) -> dict[int, Weighed]:
    return {
        trial_id: weigh(question, cases[trial_id], requests)
        for trial_id, requests in requests_by_trial(records, list(cases))
    }


def _shared_out(
    question: Question, cases: Mapping[int, Case], location: DatabaseLocation, workers: int
) -> dict[int, Weighed]:
    jobs = [_Job(question, {one: cases[one] for one in some}, location) for some in batches(cases, _AT_ONCE)]
    # spawn: a fork would share this process's open database.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return {trial_id: one for found in pool.map(_carried_out, jobs) for trial_id, one in found.items()}


@dataclass(frozen=True, slots=True)
class _Job:
    """What a worker process is asked."""

    question: Question
    cases: dict[int, Case]
    location: DatabaseLocation


def _carried_out(job: _Job) -> dict[int, Weighed]:
    with open_reader(job.location) as reader:
        return _weighed(job.question, job.cases, reader)
