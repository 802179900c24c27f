"""What `tuner bench --json` prints: stable keys, latencies in milliseconds, null for what is not known. Pure.

A percentile that the sample does not support is null: p99 needs 459 values (`tuner.metrics.distributions`).
"""

from typing import Any

from tuner.domain.bench import Bench
from tuner.domain.load import ClientHealth
from tuner.domain.measurement import (
    Distribution,
    LoadPoint,
    LoadSummary,
    Reconciliation,
    ServerFigures,
    SessionFigures,
    StepFigures,
)
from tuner.domain.slo import Slo


def bench_record(bench: Bench) -> dict[str, Any]:
    """Return a measurement of a running server."""
    point, summary = bench.point, bench.point.summary
    return {
        "url": bench.url,
        "model": bench.model,
        "endpoint": str(bench.workload.endpoint),
        "workload": bench.workload.model_dump(mode="json"),
        "workload_id": bench.workload.identity,
        "seed": point.seed,
        "arrivals": point.arrivals.model_dump(mode="json"),
        "started_at": point.started_at.isoformat(),
        "duration_s": point.duration,
        "requests": {"completed": summary.completed, "failed": summary.failed, "errors": summary.errors},
        "ttft_ms": milliseconds(summary.ttft),
        "tpot_ms": milliseconds(summary.tpot),
        "itl_ms": milliseconds(summary.itl),
        "e2e_ms": milliseconds(summary.e2e),
        "ttft_from_send_ms": milliseconds(summary.ttft_from_send),
        "tokens_per_event": summary.tokens_per_event,
        "throughput": {
            "requests_per_s": summary.achieved_rps,
            "output_tokens_per_s": summary.output_tokens_per_s,
            "input_tokens_per_s": summary.input_tokens_per_s,
        },
        "goodput_rps": summary.goodput_rps,
        "users": {"mean": summary.users_mean, "max": summary.users_max},
        "queue_growing": summary.queue_growing,
        "slos": [_slo(slo, summary) for slo in bench.slos],
        "slo_met": summary.slo_met,
        "slo_violations": list(summary.slo_violations),
        "client": _client(point),
        "server": _server(point.server),
        "reconciliation": _reconciliation(point.reconciliation) if point.reconciliation else None,
        "sessions": _sessions(summary.sessions) if summary.sessions else None,
        "steps": [_step(step) for step in summary.steps],
    }


def milliseconds(found: Distribution) -> dict[str, float | int | None]:
    """Return a latency's statistics in milliseconds, and of how many values."""
    names = ("mean", "p50", "p90", "p95", "p99")
    return {name: _ms(getattr(found, name)) for name in names} | {"count": found.count}


def cpu_us_per_token(point: LoadPoint) -> float | None:
    """Return the client's CPU time per output token that it received, in microseconds; None without any."""
    tokens = point.reconciliation.client_output_tokens if point.reconciliation else 0
    return point.client.cpu_s * 1e6 / tokens if tokens else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _slo(slo: Slo, summary: LoadSummary) -> dict[str, Any]:
    value = summary.latency(slo.latency).statistic(slo.percentile)
    met = value is not None and value <= slo.limit
    return {"slo": slo.name, "limit_ms": _ms(slo.limit), "value_ms": _ms(value), "met": met}


def _client(point: LoadPoint) -> dict[str, Any]:
    client = point.client
    return {
        "valid": not point.summary.invalid,
        "invalid": list(point.summary.invalid),
        "cpu_s": client.cpu_s,
        "cpu_share": client.cpu_share,
        "cpu_us_per_token": cpu_us_per_token(point),
        "error_ms": _own_error(client),
        "lateness_ms": {
            "mean": _ms(client.lateness_mean),
            "p99": _ms(client.lateness_p99),
            "max": _ms(client.lateness_max),
        },
        "events_per_read": client.events_per_read,
    }


def _own_error(client: ClientHealth) -> dict[str, float | None]:
    """Return how late the client noticed what arrived: its own error of every latency."""
    return {"mean": _ms(client.loop_lag_mean), "p99": _ms(client.loop_lag_p99), "max": _ms(client.loop_lag_max)}


def _server(server: ServerFigures) -> dict[str, Any] | None:
    if server == ServerFigures():
        return None
    told = server.model_dump(mode="json")
    return told | {"ttft_mean_ms": _ms(told.pop("ttft_mean")), "tpot_mean_ms": _ms(told.pop("tpot_mean"))}


def _reconciliation(found: Reconciliation) -> dict[str, Any]:
    return {
        "requests": {"client": found.client_requests, "server": found.server_requests},
        "prompt_tokens": {"client": found.client_prompt_tokens, "server": found.server_prompt_tokens},
        "output_tokens": {"client": found.client_output_tokens, "server": found.server_output_tokens},
        "ttft_mean_ms": {"client": _ms(found.client_ttft_mean), "server": _ms(found.server_ttft_mean)},
        "mismatches": list(found.mismatches),
    }


def _sessions(found: SessionFigures) -> dict[str, Any]:
    return {
        "completed": found.completed,
        "failed": found.failed,
        "calls_mean": found.calls_mean,
        "duration_ms": milliseconds(found.duration),
        "idle_share": found.idle_share,
        "idle_share_one_user": found.idle_share_one_user,
    }


def _step(found: StepFigures) -> dict[str, Any]:
    return {
        "label": found.label,
        "completed": found.completed,
        "failed": found.failed,
        "ttft_ms": milliseconds(found.ttft),
        "tpot_ms": milliseconds(found.tpot),
        "e2e_ms": milliseconds(found.e2e),
    }
