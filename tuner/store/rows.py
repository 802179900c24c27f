"""Rows from and to domain values. Pure: knows columns and JSON, no connection."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

import tuner
from tuner.domain.arrivals import ClosedLoop
from tuner.domain.bench import Bench
from tuner.domain.failure import Failure
from tuner.domain.measurement import Capacity, Distribution, LoadPoint, Scrape
from tuner.domain.study import StudySpec
from tuner.domain.telemetry import MachineSample
from tuner.domain.trial import Launch, Provenance, Purpose, Study, Trial

Row = Mapping[str, Any]
"""A row by column name."""

_SCRAPES = TypeAdapter(tuple[Scrape, ...])
_MACHINE_SAMPLES = TypeAdapter(tuple[MachineSample, ...])


def spec_row(spec: StudySpec) -> dict[str, Any]:
    """Return the columns that a study's spec fills."""
    return {
        "name": spec.study,
        "model": spec.model,
        "target_rps": spec.target_rps,
        "workload_id": spec.workload.identity,
        "slo_id": spec.slo_identity,
        "spec": spec.model_dump(mode="json"),
    }


def study_row(study_id: int, spec: StudySpec, provenance: Provenance, created_at: datetime) -> dict[str, Any]:
    """Return a new study's row."""
    return spec_row(spec) | {
        "study_id": study_id,
        "tuner_version": tuner.__version__,
        "created_at": created_at,
        "provenance": provenance.model_dump(mode="json"),
    }


def study_of(row: Row) -> Study:
    """Return the study of a row."""
    return Study(
        id=row["study_id"],
        name=row["name"],
        spec=StudySpec.model_validate(row["spec"]),
        created_at=row["created_at"],
        provenance=Provenance.model_validate(row["provenance"]),
    )


def failure_row(failure: Failure | None) -> dict[str, Any]:
    """Return the three columns of a failure."""
    return {
        "failure_kind": failure and failure.kind.value,
        "failure_evidence": failure and failure.evidence,
        "failure_advice": failure and failure.advice,
    }


def _failure_of(row: Row) -> Failure | None:
    if row["failure_kind"] is None:
        return None
    return Failure(kind=row["failure_kind"], evidence=row["failure_evidence"], advice=row["failure_advice"])


def capacity_row(capacity: Capacity | None) -> dict[str, Any]:
    """Return the columns of a capacity."""
    return {
        "capacity_rps": capacity and capacity.rps,
        "capacity_lower_rps": capacity and capacity.lower_rps,
        "capacity_upper_rps": capacity and capacity.upper_rps,
        "capacity": capacity and capacity.model_dump(mode="json"),
    }


def trial_of(row: Row, *, load_points: Iterable[LoadPoint], launches: Iterable[Launch]) -> Trial:
    """Return the trial of a row, with what belongs to it."""
    return Trial(
        id=row["trial_id"],
        number=row["number"],
        role=row["role"],
        state=row["state"],
        flags=row["flags"],
        resolved=row["resolved"],
        fingerprint=row["fingerprint"],
        duplicate_of=row["duplicate_of"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        capacity=row["capacity"],
        values=row["objective_values"] or {},
        failure=_failure_of(row),
        load_points=tuple(load_points),
        launches=tuple(launches),
    )


def launch_of(row: Row) -> Launch:
    """Return the launch of a row; before schema 0003 every launch was for its trial's own figures."""
    return Launch(
        id=row["launch_id"],
        trial_id=row["trial_id"],
        attempt=row["attempt"],
        purpose=row.get("purpose", Purpose.MEASURE),
        argv=tuple(row["argv"]),
        log_path=row["log_path"],
        started_at=row["started_at"],
        ready_after=row["ready_after"],
        ended_at=row["ended_at"],
        exit_code=row["exit_code"],
        capacity=row.get("capacity"),
        failure=_failure_of(row),
        resolved=row["resolved"],
        provenance=Provenance.model_validate(row["provenance"]),
    )


def load_point_row(trial_id: int, launch_id: int, point: LoadPoint) -> dict[str, Any]:
    """Return a load point's row: its scalars as columns, the complete values as JSON."""
    summary = point.summary
    return {
        "trial_id": trial_id,
        "launch_id": launch_id,
        "point_index": point.index,
        "kind": point.arrivals.kind,
        "rate": point.arrivals.offered_rps,
        "concurrency": point.arrivals.concurrency if isinstance(point.arrivals, ClosedLoop) else None,
        "arrivals": point.arrivals.model_dump(mode="json"),
        "requests": point.requests,
        "seed": str(point.seed),
        "started_at": point.started_at,
        "duration": point.duration,
        "completed": summary.completed,
        "failed": summary.failed,
        "achieved_rps": summary.achieved_rps,
        "goodput_rps": summary.goodput_rps,
        "output_tokens_per_s": summary.output_tokens_per_s,
        **_statistics("ttft", summary.ttft),
        **_statistics("tpot", summary.tpot),
        "slo_met": int(summary.slo_met),
        "valid": int(not summary.invalid),
        "summary": summary.model_dump(mode="json"),
        "server": point.server.model_dump(mode="json"),
        "client": point.client.model_dump(mode="json"),
        "machine": point.machine.model_dump(mode="json"),
        "reconciliation": point.reconciliation and point.reconciliation.model_dump(mode="json"),
    }


def _statistics(latency: str, distribution: Distribution) -> dict[str, float | None]:
    return {f"{latency}_{name}": getattr(distribution, name) for name in ("mean", "p50", "p95", "p99")}


def load_point_of(row: Row, *, attempt: int) -> LoadPoint:
    """Return the load point of a row, measured by this launch of its trial."""
    return LoadPoint(
        index=row["point_index"],
        attempt=attempt,
        arrivals=row["arrivals"],
        requests=row["requests"],
        seed=int(row["seed"]),
        started_at=row["started_at"],
        duration=row["duration"],
        summary=row["summary"],
        server=row["server"],
        client=row["client"],
        machine=row["machine"],
        reconciliation=row["reconciliation"],
    )


def bench_row(bench: Bench) -> dict[str, Any]:
    """Return a bench's row, without its raw readings."""
    return {
        "url": bench.url,
        "model": bench.model,
        "workload_id": bench.workload.identity,
        "started_at": bench.point.started_at,
        "tuner_version": tuner.__version__,
        "workload": bench.workload.model_dump(mode="json"),
        "slos": [slo.model_dump(mode="json") for slo in bench.slos],
        "load_point": bench.point.model_dump(mode="json"),
    }


def bench_of(row: Row) -> Bench:
    """Return the bench of a row."""
    return Bench(
        url=row["url"], model=row["model"], workload=row["workload"], slos=row["slos"], point=row["load_point"]
    )


def encode_scrapes(scrapes: Sequence[Scrape]) -> bytes:
    """Return the scrapes as compressed JSON."""
    return zlib.compress(_SCRAPES.dump_json(tuple(scrapes), exclude_none=True))


def decode_scrapes(data: bytes) -> tuple[Scrape, ...]:
    """Return the scrapes that `encode_scrapes` stored.

    Raises:
        ValueError: damaged bytes.
    """
    try:
        return _SCRAPES.validate_json(zlib.decompress(data))
    except zlib.error as error:
        raise ValueError(f"damaged scrapes: {error}") from error


def encode_machine_samples(samples: Sequence[MachineSample]) -> bytes:
    """Return the samples as compressed JSON."""
    return zlib.compress(_MACHINE_SAMPLES.dump_json(tuple(samples), exclude_none=True))


def decode_machine_samples(data: bytes) -> tuple[MachineSample, ...]:
    """Return the samples that `encode_machine_samples` stored.

    Raises:
        ValueError: damaged bytes.
    """
    try:
        return _MACHINE_SAMPLES.validate_json(zlib.decompress(data))
    except zlib.error as error:
        raise ValueError(f"damaged machine samples: {error}") from error
