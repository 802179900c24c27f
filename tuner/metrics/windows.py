"""Owns the steady window of a load point: the part in which the server was under the load that was asked for.

Open loop: a server that started empty fills up first, and its queue with it; what arrives meanwhile meets a better
server than the later ones do. The window begins when the filling is over, taken as 1.2 times what nine in ten of the
earliest fifth of the requests took, and ends with the last arrival: whoever arrived by then met the full load, however
long the answer takes, so the drain holds no request of its own.

Closed loop: from the moment at which all users run, to the last sending; after that users run dry.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.domain.arrivals import Arrivals, ClosedLoop
from tuner.domain.load import RequestRecord
from tuner.metrics.columns import Columns
from tuner.metrics.distributions import quantile

_FILLING = 1.2
"""The system is taken as filled after this many times what nine in ten of the earliest requests took."""
_MOST_ANSWERS = 0.9
_EARLIEST = 0.2
"""The share of requests that tells how long it took."""
_MOST = 0.25
"""No more than this share of the arrivals' time is left out, however long the answers took."""


@dataclass(frozen=True, slots=True)
class Window:
    """Requests whose intended start lies within [start, end], seconds from the load point's start."""

    start: float
    end: float

    def holds(self, starts: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which of these intended starts lie within it; NaN never does."""
        return (starts >= self.start) & (starts <= self.end)


def steady_window(records: Sequence[RequestRecord] | Columns, arrivals: Arrivals) -> Window:
    """Return the steady window by intended start; empty records give an empty window at 0."""
    columns = records if isinstance(records, Columns) else Columns.of(records)
    starts = columns.scheduled_at
    known = np.sort(starts[~np.isnan(starts)])
    if not known.size:
        return Window(0.0, 0.0)
    if isinstance(arrivals, ClosedLoop):
        return Window(float(known[min(arrivals.concurrency, known.size) - 1]), float(known[-1]))
    first, last = float(known[0]), float(known[-1])
    return Window(first + min(filling_time(columns), _MOST * (last - first)), last)


def filling_time(columns: Columns) -> float:
    """Return how long a system that started empty takes to fill up: a little more than its earliest answers took."""
    earliest = np.argsort(columns.scheduled_at, kind="stable")[: int(_EARLIEST * len(columns))]
    done = earliest[columns.ok[earliest]]
    took = columns.finished_at[done] - columns.scheduled_at[done]
    return _FILLING * quantile(took, _MOST_ANSWERS) if took.size else 0.0
