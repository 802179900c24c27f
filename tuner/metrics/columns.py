"""Owns request records as columns: what judging thousands of load points needs of them, without an object for each.

Computes no figure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tuner.domain.load import Outcome, RequestRecord

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The requests of one load point, in the order of their records. Shape (requests,) but for `event_times`.

    Seconds from the load point's start; a time that never came is NaN.
    """

    scheduled_at: Values
    sent_at: Values
    finished_at: Values
    ok: Flags
    cancelled: Flags
    output_tokens: Counts
    steps: Counts
    """Each request's position within its session, from 0."""
    event_counts: Counts
    event_times: Values
    """Of all requests, one's after the other's, shape (events,)."""

    @classmethod
    def of(cls, records: Sequence[RequestRecord]) -> Self:
        """Return records as columns."""
        return cls(
            scheduled_at=_times(record.scheduled_at for record in records),
            sent_at=_times(record.sent_at for record in records),
            finished_at=_times(record.finished_at for record in records),
            ok=np.array([record.outcome is Outcome.OK for record in records], dtype=np.bool_),
            cancelled=np.array([record.outcome is Outcome.CANCELLED for record in records], dtype=np.bool_),
            output_tokens=_counts(record.output_tokens for record in records),
            steps=_counts(record.step for record in records),
            event_counts=_counts(len(record.event_times) for record in records),
            event_times=_times(chain.from_iterable(record.event_times for record in records)),
        )

    def __len__(self) -> int:
        return self.scheduled_at.size

    @property
    def first(self) -> Values:
        """Each request's first token event, NaN without one."""
        return self._event(np.cumsum(self.event_counts) - self.event_counts)

    @property
    def last(self) -> Values:
        """Each request's last token event, NaN without one."""
        return self._event(np.cumsum(self.event_counts) - 1)

    def _event(self, at: Counts) -> Values:
        found = np.full(len(self), np.nan)
        has_events = self.event_counts > 0
        found[has_events] = self.event_times[at[has_events]]
        return found

    def gaps(self) -> tuple[Values, Counts]:
        """Return the gaps between token events, one request's after the other's, and how many each request has."""
        within = np.ones(max(self.event_times.size - 1, 0), dtype=np.bool_)
        ends = np.cumsum(self.event_counts)[:-1]
        within[ends[(ends > 0) & (ends < self.event_times.size)] - 1] = False
        return np.diff(self.event_times)[within], np.maximum(self.event_counts - 1, 0)

    def take(self, chosen: NDArray[np.intp]) -> "Columns":
        """Return the requests at these positions, in this order."""
        counts = self.event_counts[chosen]
        return Columns(
            scheduled_at=self.scheduled_at[chosen],
            sent_at=self.sent_at[chosen],
            finished_at=self.finished_at[chosen],
            ok=self.ok[chosen],
            cancelled=self.cancelled[chosen],
            output_tokens=self.output_tokens[chosen],
            steps=self.steps[chosen],
            event_counts=counts,
            event_times=self.event_times[_runs((np.cumsum(self.event_counts) - self.event_counts)[chosen], counts)],
        )


def _runs(starts: Counts, lengths: Counts) -> Counts:
    """Return the positions of runs of such lengths, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()), dtype=np.int64)


def _times(values: Iterable[float]) -> Values:
    return np.fromiter(values, dtype=np.float64)


def _counts(values: Iterable[int]) -> Counts:
    return np.fromiter(values, dtype=np.int64)
