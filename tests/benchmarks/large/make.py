"""Make a large result file: the tuner's tables through its own rows and codecs, in bulk, and Optuna's beside them."""

import argparse
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.distributions import distribution_to_json

from tests.benchmarks.large.night import BEGAN, Night, spec, states, trial
from tuner.domain.study import CAPACITY
from tuner.domain.trial import Provenance, Purpose, TrialState
from tuner.metrics.capacity import target_point
from tuner.metrics.objectives import constraint_values, objective_values
from tuner.proposal.distributions import distribution, internal_value
from tuner.proposal.proposer import open_proposer
from tuner.store import rows
from tuner.store.location import DatabaseLocation
from tuner.store.records_codec import encode_records
from tuner.store.schema import launches, load_points, machine_samples, request_records, scrapes, trials
from tuner.store.writer import Store, open_store

_CHUNK = 100
_LAUNCHED = frozenset({TrialState.MEASURED, TrialState.FAILED})
_PROVENANCE = Provenance(
    device="Example GPU", device_count=1, device_memory_bytes=80 * 2**30, driver="570.1", vllm_version="0.32.0"
)

Rows = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Make the file and say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--points", type=int, default=4, help="load points of a measured trial")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    if given.out.exists():
        parser.error(f"{given.out} exists")
    make(given.out, trial_count=given.trials, records=given.records, points=given.points, processes=given.processes)
    with closing(sqlite3.connect(given.out)) as made:
        held = {name: made.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in _TABLES}  # noqa: S608
    print(", ".join(f"{count} {name}" for name, count in held.items()), f"{given.out.stat().st_size / 1e6:.0f} MB")


_TABLES = ("tuner_trials", "tuner_launches", "tuner_load_points", "trial_params")


def make(out: Path, *, trial_count: int, records: int, points: int, processes: int = 1) -> None:
    """Write the file: exactly so many trials and request records."""
    jobs = list(_jobs(trial_count, records, points))
    location = DatabaseLocation.parse(str(out))
    with open_store(location) as store:
        open_proposer(location.url, spec(), ["maximize", "minimize"])
        store.create_study(1, spec(), _PROVENANCE, BEGAN)
        if processes == 1:
            for chunk in map(_chunk, jobs):
                _insert(store, chunk)
            return
        with ProcessPoolExecutor(processes) as pool:
            for chunk in pool.map(_chunk, jobs):
                _insert(store, chunk)


Job = list[tuple[int, TrialState, list[int], int]]
"""Of each trial: its number, its end, the requests of its load points, the id of its first load point."""


def _jobs(trial_count: int, records: int, points: int) -> Iterator[Job]:
    ends = states(trial_count)
    measured = ends.count(TrialState.MEASURED)
    each, more = divmod(records, measured * points)
    counts = iter([each + 1] * more + [each] * (measured * points - more))
    next_id, job = 1, Job()
    for number, end in enumerate(ends):
        requests = list(islice(counts, points)) if end is TrialState.MEASURED else []
        job.append((number, end, requests, next_id))
        next_id += len(requests)
        if len(job) == _CHUNK:
            yield job
            job = []
    yield job


def _chunk(job: Job) -> Rows:
    found: Rows = {}
    for number, end, requests, first_id in job:
        night = trial(number, end, requests)
        for table, its in (_tuner_rows(night, first_id) | _optuna_rows(night)).items():
            found.setdefault(table, []).extend(its)
    return found


def _insert(store: Store, chunk: Rows) -> None:
    tables = {table.name: table for table in (trials, launches, load_points, request_records, scrapes, machine_samples)}
    with store.engine.begin() as connection:
        for name, its in chunk.items():
            table = tables.get(name)
            connection.execute(sa.insert(sa.table(name, *map(sa.column, its[0])) if table is None else table), its)


def _tuner_rows(night: Night, first_id: int) -> Rows:
    trial_id = night.number + 1
    row = {
        "trial_id": trial_id,
        "study_id": 1,
        "number": night.number,
        "role": night.role.value,
        "state": night.state.value,
        "flags": night.flags,
        "resolved": night.resolved,
        "fingerprint": f"{night.number:064x}",
        "duplicate_of": night.duplicate_of,
        "started_at": night.began,
        "ended_at": night.ended,
        "objective_values": _values(night),
        **rows.capacity_row(night.capacity),
        **rows.failure_row(night.failure),
    }
    found: Rows = {"tuner_trials": [row]}
    if night.state in _LAUNCHED:
        found["tuner_launches"] = [_launch_row(night, trial_id)]
    if night.points:
        found["tuner_load_points"] = [
            rows.load_point_row(trial_id, trial_id, one.point) | {"load_point_id": first_id + index}
            for index, one in enumerate(night.points)
        ]
        raw = [(first_id + index, one) for index, one in enumerate(night.points)]
        found |= {
            "tuner_request_records": [{"load_point_id": n, "data": encode_records(one.records)} for n, one in raw],
            "tuner_scrapes": [{"load_point_id": n, "data": rows.encode_scrapes(one.scrapes)} for n, one in raw],
            "tuner_machine_samples": [
                {"load_point_id": n, "data": rows.encode_machine_samples(one.samples)} for n, one in raw
            ],
        }
    return found


def _launch_row(night: Night, trial_id: int) -> dict[str, Any]:
    return {
        "launch_id": trial_id,
        "trial_id": trial_id,
        "attempt": 1,
        "purpose": Purpose.MEASURE.value,
        "argv": ["vllm", "serve", spec().model, *(f"--{name}={value}" for name, value in night.flags.items())],
        "log_path": f".tuner/logs/large/{night.number:05d}-1.log",
        "started_at": night.began,
        "ready_after": None if night.failure else 15.0,
        "ended_at": night.ended,
        "exit_code": 1 if night.failure else 0,
        "resolved": night.resolved,
        "provenance": _PROVENANCE.model_dump(mode="json"),
        **rows.capacity_row(night.capacity),
        **rows.failure_row(night.failure),
    }


def _values(night: Night) -> dict[str, float] | None:
    points = [one.point for one in night.points]
    target = target_point(points, spec().target_rps)
    if target is None or night.capacity is None:
        return None
    return objective_values(spec().objectives, target, night.capacity)


def _optuna_rows(night: Night) -> Rows:
    """Return what the proposer tells Optuna: a failure that the configuration caused is COMPLETE with a violation."""
    trial_id, values = night.number + 1, _values(night)
    complete = night.state is not TrialState.DUPLICATE
    told = [values[CAPACITY], values["ttft_p95"]] if values else [0.0, 1e3]
    marks: dict[str, Any] = {"measured": values is not None}
    return {
        "trials": [
            {
                "trial_id": trial_id,
                "number": night.number,
                "study_id": 1,
                "state": "COMPLETE" if complete else "FAIL",
                "datetime_start": night.began.replace(tzinfo=None).isoformat(" "),
                "datetime_complete": night.ended.replace(tzinfo=None).isoformat(" "),
            }
        ],
        "trial_params": _parameter_rows(night, trial_id),
        "trial_values": [
            {"trial_id": trial_id, "objective": index, "value": value, "value_type": "FINITE"}
            for index, value in enumerate(told if complete else ())
        ],
        "trial_user_attributes": _attribute_rows(trial_id, marks),
        "trial_system_attributes": _attribute_rows(trial_id, _constraints(night, measured=values is not None)),
    }


def _constraints(night: Night, *, measured: bool) -> dict[str, float]:
    target = target_point([one.point for one in night.points], spec().target_rps)
    if not measured or target is None:
        return {"constraints:failure": 1.0}
    found = {"failure": -1.0, **constraint_values(spec().slos, target)}
    return {f"constraints:{name}": value for name, value in found.items()}


def _parameter_rows(night: Night, trial_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, parameter in spec().search_space.parameters.items():
        of = distribution(parameter)
        found.append(
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": internal_value(of, night.resolved[name]),
                "distribution_json": distribution_to_json(of),
            }
        )
    return found


def _attribute_rows(trial_id: int, attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


if __name__ == "__main__":
    main()
