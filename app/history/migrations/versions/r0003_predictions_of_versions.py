"""The model version as part of the predictions' key, so that each version may predict an id.

SQLite cannot change a key, so there the rows are copied into a new table.
"""

from __future__ import annotations

from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the model and the version parts of the key."""
    _key("prediction_id", "model", "model_version")


def downgrade() -> None:
    """Make the id alone the key. Fails where a second version has an id."""
    _key("prediction_id")


def _key(*columns: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET LOCAL statement_timeout = 0")  # building the index of a large table is slow
    with op.batch_alter_table("predictions") as table:
        table.drop_constraint("pk_predictions", type_="primary")
        table.create_primary_key("pk_predictions", list(columns))
