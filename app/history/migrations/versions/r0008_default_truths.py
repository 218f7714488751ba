"""Default truths of model versions, and the sums of predictions without feedback by these truths."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0008"
down_revision = "r0007"
branch_labels = None
depends_on = None

TABLES = ("prediction_days", "prediction_hours")


def upgrade() -> None:
    """Create the table and the columns. The recorder fills them when it reads the registrations from the beginning."""
    moment, number = sa.DateTime(timezone=True), sa.Float(53)
    op.create_table(
        "default_truths",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("actual", sa.Text(), nullable=True),
        sa.Column("actual_value", number, nullable=True),
        sa.Column("after_seconds", number, nullable=True),
        sa.Column("pane_seconds", number, nullable=True),
        sa.Column("registered_at", moment, nullable=False),
        sa.Column("recorded_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("model", "model_version", name="pk_default_truths"),
    )
    for table in TABLES:
        op.add_column(table, sa.Column("silent_wrong", sa.BigInteger(), nullable=False, server_default="0"))
        op.add_column(table, sa.Column("silent_error_sum", number, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the table and the columns, and delete the recorded offsets of the registrations."""
    for table in TABLES:
        with op.batch_alter_table(table) as altered:
            altered.drop_column("silent_error_sum")
            altered.drop_column("silent_wrong")
    op.drop_table("default_truths")
    op.execute("DELETE FROM recorded_offsets WHERE topic LIKE '%models'")
