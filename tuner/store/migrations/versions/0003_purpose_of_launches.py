"""Launches say what they were for, and keep the capacity that their own load points show."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CHECKS = {
    "ck_tuner_launches_attempt_from_1": "attempt >= 1",
    "ck_tuner_launches_ready_after_start": "ready_after >= 0",
}
_PURPOSE = "ck_tuner_launches_purpose_is_known"


def upgrade() -> None:
    """Add the columns; every launch so far was for its trial's own figures."""
    with op.batch_alter_table("tuner_launches", copy_from=_launches()) as batch:
        batch.add_column(
            sa.Column("purpose", sa.String(length=16), nullable=False, server_default="measure")
        )
        batch.add_column(sa.Column("capacity_rps", sa.Double(), nullable=True))
        batch.add_column(sa.Column("capacity_lower_rps", sa.Double(), nullable=True))
        batch.add_column(sa.Column("capacity_upper_rps", sa.Double(), nullable=True))
        batch.add_column(sa.Column("capacity", sa.JSON(), nullable=True))
        batch.create_check_constraint(op.f(_PURPOSE), "purpose IN ('measure', 'drift', 'confirm', 'refine')")


def _launches() -> sa.Table:
    """Return the table as revision 0001 made it: Alembic can't read the CHECK constraints of SQLite's."""
    return sa.Table(
        "tuner_launches",
        sa.MetaData(),
        sa.Column("launch_id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("argv", sa.JSON(), nullable=False),
        sa.Column("log_path", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_after", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("failure_kind", sa.String(length=32), nullable=True),
        sa.Column("failure_evidence", sa.Text(), nullable=True),
        sa.Column("failure_advice", sa.Text(), nullable=True),
        sa.Column("resolved", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        *(sa.CheckConstraint(text, name=op.f(name)) for name, text in _CHECKS.items()),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["tuner_trials.trial_id"], name=op.f("fk_tuner_launches_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("launch_id", name=op.f("pk_tuner_launches")),
        sa.UniqueConstraint("trial_id", "attempt", name=op.f("uq_tuner_launches_trial_id_attempt")),
    )
