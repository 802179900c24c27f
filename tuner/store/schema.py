"""The tuner's tables. They stand beside Optuna's own in one database, and no name of Optuna's is used.

Every key is Optuna's (study id, trial id), without a foreign key into Optuna's tables: those may come later, or never.
Scalar figures are plain columns, for people who query with SQL; complete values are JSON; token times and scrapes are
compressed and stand in tables of their own, so that no reading of results passes over them.

A change here needs a new revision in `migrations/versions` and a new entry in `REVISIONS`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from tuner.domain.trial import Purpose, TrialRole, TrialState

TABLE_PREFIX = "tuner_"
VERSION_TABLE = "tuner_alembic_version"
"""Alembic's version table for these tables; `alembic_version` is Optuna's."""

REVISIONS = ("0001", "0002", "0003")
"""Schema revisions that this version reads, oldest first; the last is the one it writes."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment: stored as UTC (ISO text in SQLite), read back as aware UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a moment without a time zone: nobody could say later when it was."""
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say aloud that it is UTC."""
        del dialect
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


def _one_of(column: str, values: Iterable[StrEnum], name: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=name)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

studies = Table(
    "tuner_studies",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False, comment="Optuna's study id"),
    Column("name", String(64), nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("target_rps", Double, nullable=False),
    Column("workload_id", String(12), nullable=False, comment="hash of the workload"),
    Column("slo_id", String(12), nullable=False, comment="hash of the SLO set"),
    Column("tuner_version", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("provenance", JSON, nullable=False),
)

trials = Table(
    "tuner_trials",
    metadata,
    Column("trial_id", Integer, primary_key=True, autoincrement=False, comment="Optuna's trial id"),
    Column("study_id", Integer, ForeignKey("tuner_studies.study_id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("flags", JSON, nullable=False),
    Column("resolved", JSON, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("duplicate_of", Integer, comment="number of the trial that measured the same configuration"),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("capacity_rps", Double),
    Column("capacity_lower_rps", Double),
    Column("capacity_upper_rps", Double),
    Column("capacity", JSON(none_as_null=True)),
    Column("objective_values", JSON(none_as_null=True), comment="NULL unless measured"),
    Column("failure_kind", String(32)),
    Column("failure_evidence", Text),
    Column("failure_advice", Text),
    UniqueConstraint("study_id", "number"),
    CheckConstraint("number >= 0", name="number_from_0"),
    _one_of("role", TrialRole, "role_is_known"),
    _one_of("state", TrialState, "state_is_known"),
    CheckConstraint("(state = 'running') = (ended_at IS NULL)", name="ended_unless_running"),
    # A crash is never a number.
    CheckConstraint("failure_kind IS NULL OR (capacity_rps IS NULL AND objective_values IS NULL)", name="no_figures"),
    CheckConstraint("state <> 'measured' OR failure_kind IS NULL", name="no_failure_if_measured"),
    CheckConstraint("capacity_upper_rps IS NULL OR capacity_upper_rps >= capacity_rps", name="capacity_interval"),
    Index(None, "study_id", "fingerprint"),
)

launches = Table(
    "tuner_launches",
    metadata,
    Column("launch_id", Integer, primary_key=True),
    Column("trial_id", Integer, ForeignKey("tuner_trials.trial_id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("purpose", String(16), nullable=False, server_default=Purpose.MEASURE.value),
    Column("argv", JSON, nullable=False),
    Column("log_path", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ready_after", Double, comment="seconds"),
    Column("ended_at", UtcDateTime),
    Column("exit_code", Integer),
    Column("failure_kind", String(32)),
    Column("failure_evidence", Text),
    Column("failure_advice", Text),
    Column("resolved", JSON, nullable=False),
    Column("provenance", JSON, nullable=False),
    Column("capacity_rps", Double),
    Column("capacity_lower_rps", Double),
    Column("capacity_upper_rps", Double),
    Column("capacity", JSON(none_as_null=True), comment="what this launch's own load points show"),
    UniqueConstraint("trial_id", "attempt"),
    CheckConstraint("attempt >= 1", name="attempt_from_1"),
    _one_of("purpose", Purpose, "purpose_is_known"),
    CheckConstraint("ready_after >= 0", name="ready_after_start"),
)

load_points = Table(
    "tuner_load_points",
    metadata,
    Column("load_point_id", Integer, primary_key=True),
    Column("trial_id", Integer, ForeignKey("tuner_trials.trial_id", ondelete="CASCADE"), nullable=False),
    Column(
        "launch_id", Integer, ForeignKey("tuner_launches.launch_id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("point_index", Integer, nullable=False, comment="position within the trial, over all its launches"),
    Column("kind", String(16), nullable=False),
    Column("rate", Double, comment="requests per second offered; NULL where there is no one rate"),
    Column("concurrency", Integer, comment="users of a closed loop; NULL under open loop"),
    Column("arrivals", JSON, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("seed", String(40), nullable=False, comment="text: a seed may be wider than 64 bits"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("duration", Double, nullable=False, comment="seconds, as all times below"),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("achieved_rps", Double, nullable=False),
    Column("goodput_rps", Double, nullable=False),
    Column("output_tokens_per_s", Double, nullable=False),
    Column("ttft_mean", Double),
    Column("ttft_p50", Double),
    Column("ttft_p95", Double),
    Column("ttft_p99", Double),
    Column("tpot_mean", Double),
    Column("tpot_p50", Double),
    Column("tpot_p95", Double),
    Column("tpot_p99", Double),
    Column("slo_met", Integer, nullable=False, comment="0 or 1"),
    Column("valid", Integer, nullable=False, comment="0 where the client was the bottleneck, else 1"),
    Column("summary", JSON, nullable=False),
    Column("server", JSON, nullable=False),
    Column("client", JSON, nullable=False),
    Column("machine", JSON, nullable=False),
    Column("reconciliation", JSON(none_as_null=True)),
    UniqueConstraint("trial_id", "point_index"),
    CheckConstraint("point_index >= 0", name="point_index_from_0"),
    CheckConstraint(
        "(kind = 'closed' AND concurrency >= 1 AND rate IS NULL)"
        " OR (kind <> 'closed' AND concurrency IS NULL AND (rate IS NULL OR rate > 0))",
        name="arrivals",
    ),
    CheckConstraint("slo_met IN (0, 1)", name="slo_met_is_boolean"),
    CheckConstraint("valid IN (0, 1)", name="valid_is_boolean"),
    Index(None, "launch_id"),
)

request_records = Table(
    "tuner_request_records",
    metadata,
    Column(
        "load_point_id",
        Integer,
        ForeignKey("tuner_load_points.load_point_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("data", LargeBinary, nullable=False, comment="tuner.store.records_codec"),
)

scrapes = Table(
    "tuner_scrapes",
    metadata,
    Column(
        "load_point_id",
        Integer,
        ForeignKey("tuner_load_points.load_point_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("data", LargeBinary, nullable=False, comment="zlib over a JSON list of Scrape"),
)

machine_samples = Table(
    "tuner_machine_samples",
    metadata,
    Column(
        "load_point_id",
        Integer,
        ForeignKey("tuner_load_points.load_point_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("data", LargeBinary, nullable=False, comment="zlib over a JSON list of MachineSample"),
)

benches = Table(
    "tuner_benches",
    metadata,
    Column("bench_id", Integer, primary_key=True),
    Column("url", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("workload_id", String(12), nullable=False, comment="hash of the workload"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("tuner_version", String(64), nullable=False),
    Column("workload", JSON, nullable=False),
    Column("slos", JSON, nullable=False),
    Column("load_point", JSON, nullable=False),
    Column("records", LargeBinary, nullable=False, comment="tuner.store.records_codec"),
    Column("scrapes", LargeBinary, nullable=False, comment="zlib over a JSON list of Scrape"),
)
"""Measurements of servers that the tuner did not start: they belong to no study."""
