"""Trials at a glance: one scan of what is small, then the figures of one load point for each trial.

Owns which stored load point speaks for a rate. Validates what it reads as any other reading does, but reads no summary
whole: of ten thousand trials that alone takes more than a second.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from pydantic import Json, TypeAdapter
from sqlalchemy import ColumnElement, Connection

from tuner.domain.failure import FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.measurement import Capacity
from tuner.domain.overview import AtRate, Overview, speaker
from tuner.domain.slo import split_name
from tuner.domain.trial import Purpose, TrialRole, TrialState, judged_attempt
from tuner.store.batches import batches
from tuner.store.engine import present_columns
from tuner.store.schema import launches, load_points, trials

_AT_ONCE = 5000
"""So many load points are asked for in one query: SQLite and PostgreSQL take several times as many parameters."""
_HEAT = "%thermal_slowdown%"
"""NVML's reasons to lower clocks against heat, as they stand among a load point's machine figures."""


_Point = tuple[int, int, int, float | None, bool, bool]
"""A load point in what its choice needs: trial, attempt, its own id, rate, whether it is valid, whether it was hot."""

_Trial = tuple[
    int,
    int,
    TrialRole,
    TrialState,
    Json[dict[str, FlagValue]],
    Json[dict[str, FlagValue | None]],
    int | None,
    FailureKind | None,
    Json[Capacity] | None,
]
"""The first fields of an overview, as they are stored."""

_POINTS = TypeAdapter(list[_Point])
_TRIALS = TypeAdapter(list[_Trial])
_FIGURES = TypeAdapter(list[tuple[int, float, bool, tuple[float | None, ...]]])


def overviews(connection: Connection, study_id: int, rate: float, names: Sequence[str]) -> tuple[Overview, ...]:
    """Return a study's trials by number, each with these figures of the load point that speaks for a rate."""
    chosen = trials.c.study_id == study_id
    later = _later_launches(connection, chosen)
    points = _points(connection, chosen)
    spoken = {trial_id: _spoken(its, later.get(trial_id, {}), rate) for trial_id, its in points.items()}
    figures = _figures(connection, [key for key in spoken.values() if key is not None], names)
    hot = {trial_id for trial_id, its in points.items() if any(is_hot for *_, is_hot in its)}
    return tuple(
        Overview(
            *trial,
            figures.get(spoken.get(trial[0]) or 0),
            frozenset(later[trial[0]].values()) if trial[0] in later else frozenset(),
            trial[0] in hot,
        )
        for trial in _trials(connection, chosen)
    )


def _trials(connection: Connection, chosen: ColumnElement[bool]) -> list[_Trial]:
    """Return the trials by number; their JSON goes to the validator as it is, which reads it four times as fast."""
    columns = (
        trials.c.trial_id,
        trials.c.number,
        trials.c.role,
        trials.c.state,
        sa.cast(trials.c.flags, sa.Text),
        sa.cast(trials.c.resolved, sa.Text),
        trials.c.duplicate_of,
        trials.c.failure_kind,
        sa.cast(trials.c.capacity, sa.Text),
    )
    found = connection.execute(sa.select(*columns).where(chosen).order_by(trials.c.number))
    return _TRIALS.validate_python(found.all())


def _later_launches(connection: Connection, chosen: ColumnElement[bool]) -> Mapping[int, Mapping[int, Purpose]]:
    """Return the launches that were not for a trial's own figures, by trial: their attempts and purposes."""
    found: dict[int, dict[int, Purpose]] = defaultdict(dict)
    if all(column is not launches.c.purpose for column in present_columns(connection, launches)):
        return found
    columns = (launches.c.trial_id, launches.c.attempt, launches.c.purpose)
    query = sa.select(*columns).join(trials).where(chosen, launches.c.purpose != Purpose.MEASURE.value)
    for trial_id, attempt, purpose in connection.execute(query):
        found[trial_id][attempt] = Purpose(purpose)
    return found


def _points(connection: Connection, chosen: ColumnElement[bool]) -> Mapping[int, Sequence[_Point]]:
    """Return all load points by trial, in order."""
    query = (
        sa.select(
            load_points.c.trial_id,
            launches.c.attempt,
            load_points.c.load_point_id,
            load_points.c.rate,
            load_points.c.valid,
            sa.cast(load_points.c.machine, sa.Text).like(_HEAT),
        )
        .join(launches, launches.c.launch_id == load_points.c.launch_id)
        .where(load_points.c.trial_id.in_(sa.select(trials.c.trial_id).where(chosen)))
        .order_by(load_points.c.trial_id, load_points.c.point_index)
    )
    found: dict[int, list[_Point]] = defaultdict(list)
    for point in _POINTS.validate_python(connection.execute(query).all()):
        found[point[0]].append(point)
    return found


def _spoken(points: Sequence[_Point], later: Mapping[int, Purpose], rate: float) -> int | None:
    """Return the id of what speaks for a rate: as `Trial.judged_points` and `tuner.analysis.figures` have it."""
    judged = judged_attempt((attempt for _, attempt, *_ in points), later.keys())
    candidates = [
        (offered, key)
        for _, attempt, key, offered, valid, _ in points
        if offered is not None and valid and attempt == judged
    ]
    found = speaker(candidates, rate, itemgetter(0))
    return None if found is None else found[1]


def _figures(connection: Connection, ids: Sequence[int], names: Sequence[str]) -> dict[int, AtRate]:
    columns = (load_points.c.load_point_id, load_points.c.rate, load_points.c.slo_met, *map(_column, names))
    found: dict[int, AtRate] = {}
    for some in batches(ids, _AT_ONCE):
        query = sa.select(*columns).where(load_points.c.load_point_id.in_(some))
        rows: Sequence[Sequence[Any]] = connection.execute(query).all()
        read = [(*row[:3], tuple(row[3:])) for row in rows]
        for key, rate, met, values in _FIGURES.validate_python(read):
            found[key] = AtRate(rate, met, dict(zip(names, values, strict=True)))
    return found


def _column(name: str) -> ColumnElement[Any]:
    """Return where a figure stands: in a column of its own, or in the summary."""
    if name in load_points.c:
        return load_points.c[name]
    if not name.startswith(("ttft", "tpot", "itl", "e2e")):
        return load_points.c.summary[name].as_float()
    latency, statistic = name.rsplit("_", 1) if name.endswith("_count") else split_name(name)
    return load_points.c.summary[(str(latency), str(statistic))].as_float()
