"""Training runs and deployments that other systems report, with environment, status and metadata."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None

KEY = ("model", "model_version", "deployed_at", "source")


def upgrade() -> None:
    """Create the columns. Environment and status distinguish deployments of the same moment."""
    op.add_column(
        "training_runs", sa.Column("is_retraining", sa.Boolean(), nullable=False, server_default=sa.false())
    )  # fmt: skip
    for table, column, default in (
        ("training_runs", "environment", ""), ("training_runs", "metadata", "{}"),
        ("model_deployments", "environment", ""), ("model_deployments", "status", "active"),
        ("model_deployments", "metadata", "{}"),
    ):  # fmt: skip
        op.add_column(table, sa.Column(column, sa.Text(), nullable=False, server_default=default))
    _key(*KEY, "environment", "status")


def downgrade() -> None:
    """Drop the columns, and delete the reported deployments."""
    op.execute("DELETE FROM model_deployments WHERE source = 'external'")
    _key(*KEY)
    for table, columns in (
        ("model_deployments", ("metadata", "status", "environment")),
        ("training_runs", ("metadata", "environment", "is_retraining")),
    ):
        with op.batch_alter_table(table) as altered:
            for column in columns:
                altered.drop_column(column)


def _key(*columns: str) -> None:
    with op.batch_alter_table("model_deployments") as table:
        table.drop_constraint("pk_model_deployments", type_="primary")
        table.create_primary_key("pk_model_deployments", list(columns))
