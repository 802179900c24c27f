"""The first schema: studies, trials, launches, load points with their raw readings, benches."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "tuner_studies",
        sa.Column("study_id", sa.Integer(), autoincrement=False, nullable=False, comment="Optuna's study id"),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("target_rps", sa.Double(), nullable=False),
        sa.Column("workload_id", sa.String(length=12), nullable=False, comment="hash of the workload"),
        sa.Column("slo_id", sa.String(length=12), nullable=False, comment="hash of the SLO set"),
        sa.Column("tuner_version", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_tuner_studies")),
        sa.UniqueConstraint("name", name=op.f("uq_tuner_studies_name")),
    )
    op.create_table(
        "tuner_trials",
        sa.Column("trial_id", sa.Integer(), autoincrement=False, nullable=False, comment="Optuna's trial id"),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("resolved", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column(
            "duplicate_of",
            sa.Integer(),
            nullable=True,
            comment="number of the trial that measured the same configuration",
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("capacity_rps", sa.Double(), nullable=True),
        sa.Column("capacity_lower_rps", sa.Double(), nullable=True),
        sa.Column("capacity_upper_rps", sa.Double(), nullable=True),
        sa.Column("capacity", sa.JSON(), nullable=True),
        sa.Column("objective_values", sa.JSON(), nullable=True, comment="NULL unless measured"),
        sa.Column("failure_kind", sa.String(length=32), nullable=True),
        sa.Column("failure_evidence", sa.Text(), nullable=True),
        sa.Column("failure_advice", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (ended_at IS NULL)", name=op.f("ck_tuner_trials_ended_unless_running")
        ),
        sa.CheckConstraint("role IN ('baseline', 'candidate', 'sampled')", name=op.f("ck_tuner_trials_role_is_known")),
        sa.CheckConstraint(
            "state <> 'measured' OR failure_kind IS NULL", name=op.f("ck_tuner_trials_no_failure_if_measured")
        ),
        sa.CheckConstraint(
            "state IN ('running', 'measured', 'failed', 'infeasible', 'duplicate', 'interrupted')",
            name=op.f("ck_tuner_trials_state_is_known"),
        ),
        sa.CheckConstraint(
            "capacity_upper_rps IS NULL OR capacity_upper_rps >= capacity_rps",
            name=op.f("ck_tuner_trials_capacity_interval"),
        ),
        sa.CheckConstraint(
            "failure_kind IS NULL OR (capacity_rps IS NULL AND objective_values IS NULL)",
            name=op.f("ck_tuner_trials_no_figures"),
        ),
        sa.CheckConstraint("number >= 0", name=op.f("ck_tuner_trials_number_from_0")),
        sa.ForeignKeyConstraint(
            ["study_id"], ["tuner_studies.study_id"], name=op.f("fk_tuner_trials_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trial_id", name=op.f("pk_tuner_trials")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_tuner_trials_study_id_number")),
    )
    op.create_index(
        op.f("ix_tuner_trials_study_id_fingerprint"), "tuner_trials", ["study_id", "fingerprint"], unique=False
    )
    op.create_table(
        "tuner_launches",
        sa.Column("launch_id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("argv", sa.JSON(), nullable=False),
        sa.Column("log_path", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_after", sa.Double(), nullable=True, comment="seconds"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("failure_kind", sa.String(length=32), nullable=True),
        sa.Column("failure_evidence", sa.Text(), nullable=True),
        sa.Column("failure_advice", sa.Text(), nullable=True),
        sa.Column("resolved", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.CheckConstraint("attempt >= 1", name=op.f("ck_tuner_launches_attempt_from_1")),
        sa.CheckConstraint("ready_after >= 0", name=op.f("ck_tuner_launches_ready_after_start")),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["tuner_trials.trial_id"], name=op.f("fk_tuner_launches_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("launch_id", name=op.f("pk_tuner_launches")),
        sa.UniqueConstraint("trial_id", "attempt", name=op.f("uq_tuner_launches_trial_id_attempt")),
    )
    op.create_table(
        "tuner_load_points",
        sa.Column("load_point_id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("launch_id", sa.Integer(), nullable=False),
        sa.Column(
            "point_index", sa.Integer(), nullable=False, comment="position within the trial, over all its launches"
        ),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column(
            "rate", sa.Double(), nullable=True, comment="requests per second offered; NULL where there is no one rate"
        ),
        sa.Column("concurrency", sa.Integer(), nullable=True, comment="users of a closed loop; NULL under open loop"),
        sa.Column("arrivals", sa.JSON(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("seed", sa.String(length=40), nullable=False, comment="text: a seed may be wider than 64 bits"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration", sa.Double(), nullable=False, comment="seconds, as all times below"),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("achieved_rps", sa.Double(), nullable=False),
        sa.Column("goodput_rps", sa.Double(), nullable=False),
        sa.Column("output_tokens_per_s", sa.Double(), nullable=False),
        sa.Column("ttft_mean", sa.Double(), nullable=True),
        sa.Column("ttft_p50", sa.Double(), nullable=True),
        sa.Column("ttft_p95", sa.Double(), nullable=True),
        sa.Column("ttft_p99", sa.Double(), nullable=True),
        sa.Column("tpot_mean", sa.Double(), nullable=True),
        sa.Column("tpot_p50", sa.Double(), nullable=True),
        sa.Column("tpot_p95", sa.Double(), nullable=True),
        sa.Column("tpot_p99", sa.Double(), nullable=True),
        sa.Column("slo_met", sa.Integer(), nullable=False, comment="0 or 1"),
        sa.Column("valid", sa.Integer(), nullable=False, comment="0 where the client was the bottleneck, else 1"),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("server", sa.JSON(), nullable=False),
        sa.Column("client", sa.JSON(), nullable=False),
        sa.Column("machine", sa.JSON(), nullable=False),
        sa.Column("reconciliation", sa.JSON(), nullable=True),
        sa.CheckConstraint(
            "(kind = 'closed' AND concurrency >= 1 AND rate IS NULL)"
            " OR (kind <> 'closed' AND concurrency IS NULL AND (rate IS NULL OR rate > 0))",
            name=op.f("ck_tuner_load_points_arrivals"),
        ),
        sa.CheckConstraint("point_index >= 0", name=op.f("ck_tuner_load_points_point_index_from_0")),
        sa.CheckConstraint("slo_met IN (0, 1)", name=op.f("ck_tuner_load_points_slo_met_is_boolean")),
        sa.CheckConstraint("valid IN (0, 1)", name=op.f("ck_tuner_load_points_valid_is_boolean")),
        sa.ForeignKeyConstraint(
            ["launch_id"], ["tuner_launches.launch_id"], name=op.f("fk_tuner_load_points_launch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["tuner_trials.trial_id"], name=op.f("fk_tuner_load_points_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("load_point_id", name=op.f("pk_tuner_load_points")),
        sa.UniqueConstraint("trial_id", "point_index", name=op.f("uq_tuner_load_points_trial_id_point_index")),
    )
    op.create_index(op.f("ix_tuner_load_points_launch_id"), "tuner_load_points", ["launch_id"], unique=False)
    op.create_table(
        "tuner_request_records",
        sa.Column("load_point_id", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="tuner.store.records_codec"),
        sa.ForeignKeyConstraint(
            ["load_point_id"],
            ["tuner_load_points.load_point_id"],
            name=op.f("fk_tuner_request_records_load_point_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("load_point_id", name=op.f("pk_tuner_request_records")),
    )
    op.create_table(
        "tuner_scrapes",
        sa.Column("load_point_id", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="zlib over a JSON list of Scrape"),
        sa.ForeignKeyConstraint(
            ["load_point_id"],
            ["tuner_load_points.load_point_id"],
            name=op.f("fk_tuner_scrapes_load_point_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("load_point_id", name=op.f("pk_tuner_scrapes")),
    )
    op.create_table(
        "tuner_machine_samples",
        sa.Column("load_point_id", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="zlib over a JSON list of MachineSample"),
        sa.ForeignKeyConstraint(
            ["load_point_id"],
            ["tuner_load_points.load_point_id"],
            name=op.f("fk_tuner_machine_samples_load_point_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("load_point_id", name=op.f("pk_tuner_machine_samples")),
    )
    op.create_table(
        "tuner_benches",
        sa.Column("bench_id", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("workload_id", sa.String(length=12), nullable=False, comment="hash of the workload"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tuner_version", sa.String(length=64), nullable=False),
        sa.Column("workload", sa.JSON(), nullable=False),
        sa.Column("slos", sa.JSON(), nullable=False),
        sa.Column("load_point", sa.JSON(), nullable=False),
        sa.Column("records", sa.LargeBinary(), nullable=False, comment="tuner.store.records_codec"),
        sa.Column("scrapes", sa.LargeBinary(), nullable=False, comment="zlib over a JSON list of Scrape"),
        sa.PrimaryKeyConstraint("bench_id", name=op.f("pk_tuner_benches")),
    )
