"""Trials of the head start and of a warm start: two more roles."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BEFORE = "role IN ('baseline', 'candidate', 'sampled')"
_AFTER = "role IN ('baseline', 'candidate', 'suggested', 'warm_start', 'sampled')"
_ROLE = "ck_tuner_trials_role_is_known"


def upgrade() -> None:
    """Replace the CHECK; SQLite copies the table, whose CHECK constraints Alembic can't read: hence all of it here."""
    with op.batch_alter_table("tuner_trials", copy_from=_trials()) as batch:
        batch.drop_constraint(op.f(_ROLE), type_="check")
        batch.create_check_constraint(op.f(_ROLE), _AFTER)


def _trials() -> sa.Table:
    """Return the table as revision 0001 made it."""
    checks = {
        "ck_tuner_trials_ended_unless_running": "(state = 'running') = (ended_at IS NULL)",
        _ROLE: _BEFORE,
        "ck_tuner_trials_no_failure_if_measured": "state <> 'measured' OR failure_kind IS NULL",
        "ck_tuner_trials_state_is_known": (
            "state IN ('running', 'measured', 'failed', 'infeasible', 'duplicate', 'interrupted')"
        ),
        "ck_tuner_trials_capacity_interval": "capacity_upper_rps IS NULL OR capacity_upper_rps >= capacity_rps",
        "ck_tuner_trials_no_figures": "failure_kind IS NULL OR (capacity_rps IS NULL AND objective_values IS NULL)",
        "ck_tuner_trials_number_from_0": "number >= 0",
    }
    return sa.Table(
        "tuner_trials",
        sa.MetaData(),
        sa.Column("trial_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("resolved", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("duplicate_of", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("capacity_rps", sa.Double(), nullable=True),
        sa.Column("capacity_lower_rps", sa.Double(), nullable=True),
        sa.Column("capacity_upper_rps", sa.Double(), nullable=True),
        sa.Column("capacity", sa.JSON(), nullable=True),
        sa.Column("objective_values", sa.JSON(), nullable=True),
        sa.Column("failure_kind", sa.String(length=32), nullable=True),
        sa.Column("failure_evidence", sa.Text(), nullable=True),
        sa.Column("failure_advice", sa.Text(), nullable=True),
        *(sa.CheckConstraint(text, name=op.f(name)) for name, text in checks.items()),
        sa.ForeignKeyConstraint(
            ["study_id"], ["tuner_studies.study_id"], name=op.f("fk_tuner_trials_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trial_id", name=op.f("pk_tuner_trials")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_tuner_trials_study_id_number")),
        sa.Index(op.f("ix_tuner_trials_study_id_fingerprint"), "study_id", "fingerprint"),
    )
