"""`tuner export`: a study's trials, load points and requests as flat tables.

Owns the columns; their documentation in docs/result-file.md is held against them by a test. Figures are those that
`tuner best`, `trials` and `show` print: latencies in milliseconds, all other times in seconds, capacities as the
trial's own search found them under the study's own SLOs.
"""

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum

from tuner.analysis.best import point_figures
from tuner.analysis.cost import efficiency
from tuner.analysis.figures import point_at
from tuner.domain.flags import serve_command
from tuner.domain.load import RequestRecord
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.trial import Launch, Study, Trial
from tuner.metrics.latency import e2e, tpot, ttft
from tuner.store.export import Cell, Column, Kind
from tuner.store.prune import raw_data
from tuner.store.reader import Reader

Row = dict[str, Cell]


class Table(StrEnum):
    """What can be exported."""

    TRIALS = "trials"
    LOAD_POINTS = "load_points"
    REQUESTS = "requests"


_OF_TRIAL = (
    Column("study", Kind.TEXT, "the study's name"),
    Column("trial", Kind.INTEGER, "the trial's number within the study, from 0"),
)
_CAPACITY = (
    Column("capacity_rps", Kind.NUMBER, "highest rate with the SLOs met, requests per second; 0 where no rate held"),
    Column("capacity_lower_rps", Kind.NUMBER, "lower end of its interval"),
    Column("capacity_upper_rps", Kind.NUMBER, "upper end; empty where no measured rate broke"),
    Column("limited_by", Kind.TEXT, "what breaks first above it: an SLO's name, `failures` or `queue`"),
)
_POINT_FIGURES = (
    Column("rate", Kind.NUMBER, "requests per second offered; empty under closed loop"),
    Column("users", Kind.INTEGER, "users of a closed loop; empty under open loop"),
    Column("requests", Kind.INTEGER, "requests that ended"),
    Column("ttft_p50_ms", Kind.NUMBER, "time to first token from the intended start, median, ms"),
    Column("ttft_p95_ms", Kind.NUMBER, "its 95 % quantile, ms"),
    Column("ttft_p99_ms", Kind.NUMBER, "its 99 % quantile, ms; empty, as all of these, with too few requests"),
    Column("tpot_p50_ms", Kind.NUMBER, "time per output token after the first, median, ms"),
    Column("tpot_p95_ms", Kind.NUMBER, "its 95 % quantile, ms"),
    Column("tpot_p99_ms", Kind.NUMBER, "its 99 % quantile, ms"),
    Column("e2e_p95_ms", Kind.NUMBER, "end-to-end latency, 95 % quantile, ms"),
    Column("goodput_rps", Kind.NUMBER, "requests per second that met every limit by themselves"),
    Column("output_tokens_per_s", Kind.NUMBER, "output tokens per second of completed requests"),
    Column("failure_rate", Kind.NUMBER, "failed requests over all, 0 to 1"),
    Column("slo_met", Kind.BOOLEAN, "whether the SLOs were met"),
    Column("slo_violations", Kind.JSON, "what was not met, a list of texts"),
)
_AT_TARGET = tuple(
    Column(f"at_target_{column.name}", column.kind, f"{column.meaning}, at the load point for the target rate")
    for column in _POINT_FIGURES
)
_TRIALS = (
    *_OF_TRIAL,
    Column("role", Kind.TEXT, "`baseline`, `candidate`, `suggested`, `warm_start` or `sampled`"),
    Column("state", Kind.TEXT, "what became of it"),
    Column("model", Kind.TEXT, "the study's model"),
    Column("device", Kind.TEXT, "GPU or CPU model of its last launch"),
    Column("device_count", Kind.INTEGER, "how many of them the launch saw"),
    Column("vllm_version", Kind.TEXT, "of its last launch"),
    Column("target_rps", Kind.NUMBER, "the study's target rate, requests per second"),
    Column("slos", Kind.JSON, "the study's SLOs, a list of texts"),
    Column("flags", Kind.JSON, "the flags that distinguish it"),
    Column("resolved", Kind.JSON, "settings as vLLM resolved them"),
    Column("fingerprint", Kind.TEXT, "hash of the resolved settings"),
    Column("command", Kind.TEXT, "its `vllm serve` line"),
    Column("duplicate_of", Kind.INTEGER, "the trial that measured the same settings"),
    Column("started_at", Kind.TIME, "when it began"),
    Column("ended_at", Kind.TIME, "when it ended"),
    *_CAPACITY,
    *_AT_TARGET,
    Column("failure_kind", Kind.TEXT, "why it could not be measured"),
    Column("failure_evidence", Kind.TEXT, "the line that proves it"),
    Column("launches", Kind.INTEGER, "how many servers were started for it"),
)
_LOAD_POINTS = (
    *_OF_TRIAL,
    Column("load_point", Kind.INTEGER, "position within the trial, from 0, over all its launches"),
    Column("attempt", Kind.INTEGER, "which of the trial's launches measured it, from 1"),
    Column("purpose", Kind.TEXT, "what that launch was for: `measure`, `drift`, `confirm` or `refine`"),
    Column("arrivals", Kind.TEXT, "how requests arrived: `poisson`, `constant`, `gamma`, `ramp`, `trace` or `closed`"),
    Column("started_at", Kind.TIME, "when it began"),
    Column("duration_s", Kind.NUMBER, "how long it took, s"),
    *_POINT_FIGURES,
    Column("completed", Kind.INTEGER, "requests that completed"),
    Column("failed", Kind.INTEGER, "requests that failed"),
    Column("achieved_rps", Kind.NUMBER, "completed requests per second"),
    Column("input_tokens_per_s", Kind.NUMBER, "prompt tokens per second of completed requests"),
    Column("queue_growing", Kind.BOOLEAN, "whether requests in flight kept growing"),
    Column("valid", Kind.BOOLEAN, "whether the figures are the server's, not the client's own"),
    Column("given_up", Kind.TEXT, "why it ended early; empty when it ran to its end"),
    Column("power_w", Kind.NUMBER, "of all GPUs together, W; empty where energy was not measured"),
    Column("output_tokens_per_joule", Kind.NUMBER, "of completed requests, by the GPUs' energy"),
    Column("kv_cache_usage_max", Kind.NUMBER, "highest share of the KV cache in use, 0 to 1"),
    Column("preemptions", Kind.NUMBER, "requests that vLLM preempted"),
    Column("prefix_cache_hit_rate", Kind.NUMBER, "prompt tokens found in the prefix cache, 0 to 1"),
)
_REQUESTS = (
    *_OF_TRIAL,
    Column("load_point", Kind.INTEGER, "position of its load point within the trial"),
    Column("request", Kind.INTEGER, "position within the load point, from 0"),
    Column("session", Kind.INTEGER, "its session's number; -1 where requests stand for themselves"),
    Column("step", Kind.INTEGER, "position within its session, from 0"),
    Column("label", Kind.TEXT, "its class, or its step of a chain"),
    Column("outcome", Kind.TEXT, "`ok`, or how it failed"),
    Column("error", Kind.TEXT, "one line of evidence for a failure"),
    Column("scheduled_at_s", Kind.NUMBER, "intended start, seconds since the load point's start"),
    Column("sent_at_s", Kind.NUMBER, "when it was sent, likewise"),
    Column("first_event_at_s", Kind.NUMBER, "when its first tokens came, likewise"),
    Column("finished_at_s", Kind.NUMBER, "when it ended, likewise"),
    Column("input_tokens", Kind.INTEGER, "prompt tokens"),
    Column("output_tokens", Kind.INTEGER, "completion tokens by the server's usage"),
    Column("requested_tokens", Kind.INTEGER, "completion tokens asked for"),
    Column("events", Kind.INTEGER, "stream events that carried tokens"),
    Column("ttft_ms", Kind.NUMBER, "time to first token from the intended start, ms"),
    Column("tpot_ms", Kind.NUMBER, "time per output token after the first, ms"),
    Column("e2e_ms", Kind.NUMBER, "end-to-end latency from the intended start, ms"),
)
COLUMNS = {Table.TRIALS: _TRIALS, Table.LOAD_POINTS: _LOAD_POINTS, Table.REQUESTS: _REQUESTS}
"""The columns of each table, in order."""


def table_rows(table: Table, reader: Reader, study: Study) -> Iterator[Row]:
    """Yield a study's rows of a table, by trial, load point and request; all columns in each."""
    for trial in reader.trials(study.id):
        if table is Table.TRIALS:
            yield _trial_row(study, trial)
            continue
        purposes = {launch.attempt: launch for launch in trial.launches}
        for point in trial.load_points:
            if table is Table.LOAD_POINTS:
                yield _point_row(study, trial, point, purposes[point.attempt])
            else:
                yield from _request_rows(study, trial, point, reader.records(trial.id, point.index))


def without_records(reader: Reader, study: Study) -> int:
    """Return how many load points have no request records any more: they were pruned."""
    kept = len(raw_data(reader.location, study.id))
    return sum(len(trial.load_points) for trial in reader.trials(study.id)) - kept


def _trial_row(study: Study, trial: Trial) -> Row:
    at_target = point_at(trial.judged_points, study.spec.target_rps)
    ran_on = trial.launches[-1].provenance if trial.launches else None
    return {
        "study": study.name,
        "trial": trial.number,
        "role": str(trial.role),
        "state": str(trial.state),
        "model": study.spec.model,
        "device": ran_on and ran_on.device,
        "device_count": ran_on and ran_on.device_count,
        "vllm_version": ran_on and ran_on.vllm_version,
        "target_rps": study.spec.target_rps,
        "slos": [str(slo) for slo in study.spec.slos],
        "flags": trial.flags,
        "resolved": trial.resolved,
        "fingerprint": trial.fingerprint,
        "command": serve_command(study.spec.model, {**study.spec.base_flags(), **trial.flags}),
        "duplicate_of": trial.duplicate_of,
        "started_at": trial.started_at,
        "ended_at": trial.ended_at,
        **_capacity_cells(trial.capacity),
        **{f"at_target_{name}": value for name, value in _figures(at_target).items()},
        "failure_kind": trial.failure and str(trial.failure.kind),
        "failure_evidence": trial.failure and trial.failure.evidence,
        "launches": len(trial.launches),
    }


def _capacity_cells(capacity: Capacity | None) -> Row:
    if capacity is None:
        return dict.fromkeys((column.name for column in _CAPACITY), None)
    return {
        "capacity_rps": capacity.rps,
        "capacity_lower_rps": capacity.lower_rps,
        "capacity_upper_rps": capacity.upper_rps,
        "limited_by": capacity.limited_by,
    }


def _figures(point: LoadPoint | None) -> Row:
    if point is None:
        return dict.fromkeys((column.name for column in _POINT_FIGURES), None)
    return point_figures(point).model_dump(mode="json")


def _point_row(study: Study, trial: Trial, point: LoadPoint, launch: Launch) -> Row:
    summary, server, used = point.summary, point.server, efficiency(point)
    return {
        "study": study.name,
        "trial": trial.number,
        "load_point": point.index,
        "attempt": point.attempt,
        "purpose": str(launch.purpose),
        "arrivals": point.arrivals.kind,
        "started_at": point.started_at,
        "duration_s": point.duration,
        **_figures(point),
        "completed": summary.completed,
        "failed": summary.failed,
        "achieved_rps": summary.achieved_rps,
        "input_tokens_per_s": summary.input_tokens_per_s,
        "queue_growing": summary.queue_growing,
        "valid": not summary.invalid,
        "given_up": summary.given_up,
        "power_w": used and used.power_w,
        "output_tokens_per_joule": used and used.output_tokens_per_joule,
        "kv_cache_usage_max": server.kv_cache_usage_max,
        "preemptions": server.preemptions,
        "prefix_cache_hit_rate": server.prefix_cache_hit_rate,
    }


def _request_rows(study: Study, trial: Trial, point: LoadPoint, records: Sequence[RequestRecord]) -> Iterator[Row]:
    latencies = zip(*(latency(records).tolist() for latency in (ttft, tpot, e2e)), strict=True)
    for index, (record, (first, per_token, whole)) in enumerate(zip(records, latencies, strict=True)):
        yield {
            "study": study.name,
            "trial": trial.number,
            "load_point": point.index,
            "request": index,
            "session": record.session,
            "step": record.step,
            "label": record.label,
            "outcome": str(record.outcome),
            "error": record.error,
            "scheduled_at_s": _known(record.scheduled_at),
            "sent_at_s": _known(record.sent_at),
            "first_event_at_s": record.event_times[0] if record.event_times else None,
            "finished_at_s": _known(record.finished_at),
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            "requested_tokens": record.requested_tokens,
            "events": len(record.event_times),
            "ttft_ms": _known(first * 1e3),
            "tpot_ms": _known(per_token * 1e3),
            "e2e_ms": _known(whole * 1e3),
        }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
