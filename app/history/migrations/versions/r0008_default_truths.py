"""What silence means of a model version, and what its predictions without feedback add up to by that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0008"
down_revision = "r0007"
branch_labels = None
depends_on = None

TABLES = ("prediction_days", "prediction_hours")


def upgrade() -> None:
    """Make the table and the columns; the recorder fills them, as it reads the registrations from their beginning."""
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
    """Take them away, and where the registrations were read to."""
    for table in TABLES:
        with op.batch_alter_table(table) as altered:
            altered.drop_column("silent_error_sum")
            altered.drop_column("silent_wrong")
    op.drop_table("default_truths")
    op.execute("DELETE FROM recorded_offsets WHERE topic LIKE '%models'")
