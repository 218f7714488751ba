"""The topics to which the recorded offsets belong. A topic that is created again has another id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "recorded_topics",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("topic_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name="pk_recorded_topics"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("recorded_topics")
