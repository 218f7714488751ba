"""Feedback that is limited to a model, the audit of changes, and the forgotten ids and values."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the columns and the tables."""
    op.add_column("predictions", sa.Column("feedback_model", sa.Text(), nullable=True))
    op.add_column("waiting_feedback", sa.Column("model", sa.Text(), nullable=False, server_default=""))
    _key("prediction_id", "model")
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("actor", "key_id", "action", "subject", "detail")),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_table(
        "forgotten",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "digest", "salt")),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "digest", name="pk_forgotten"),
    )


def downgrade() -> None:
    """Drop the columns and tables, with the feedback that waits for one model."""
    op.drop_table("forgotten")
    op.drop_table("audit")
    op.execute("DELETE FROM waiting_feedback WHERE model <> ''")
    _key("prediction_id")
    for table, column in (("waiting_feedback", "model"), ("predictions", "feedback_model")):
        with op.batch_alter_table(table) as altered:
            altered.drop_column(column)


def _key(*columns: str) -> None:
    with op.batch_alter_table("waiting_feedback") as table:
        table.drop_constraint("pk_waiting_feedback", type_="primary")
        table.create_primary_key("pk_waiting_feedback", list(columns))
