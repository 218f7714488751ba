"""Sums of the predictions of each hour, so that a time range may begin within a day."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None

LARGEST = 1.7976931348623157e308


def upgrade() -> None:
    """Create the table, and sum the recorded predictions."""
    moment, count, total = sa.DateTime(timezone=True), sa.BigInteger(), sa.Float(53)
    op.create_table(
        "prediction_hours",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("hour", sa.String(13), nullable=False),
        sa.Column("predictions", count, nullable=False, server_default="0"),
        sa.Column("with_feedback", count, nullable=False, server_default="0"),
        sa.Column("prediction_values", count, nullable=False, server_default="0"),
        sa.Column("prediction_sum", total, nullable=False, server_default="0"),
        sa.Column("probabilities", count, nullable=False, server_default="0"),
        sa.Column("probability_sum", total, nullable=False, server_default="0"),
        sa.Column("error_sum", total, nullable=False, server_default="0"),
        sa.Column("wrong", count, nullable=False, server_default="0"),
        sa.Column("first_at", moment, nullable=True),
        sa.Column("last_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("model", "model_version", "hour", name="pk_prediction_hours"),
    )
    _add_up(op.get_bind())


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("prediction_hours")


def _add_up(connection: sa.Connection) -> None:
    postgresql = connection.dialect.name == "postgresql"
    if postgresql:
        op.execute("SET LOCAL statement_timeout = 0")  # it reads every prediction once
    names = ("predicted_at", "model", "model_version", "prediction", "prediction_value", "probability", "actual",
             "actual_value")  # fmt: skip
    rows = sa.table("predictions", *map(sa.column, names))
    c = rows.c
    if postgresql:
        hour: Any = sa.func.to_char(sa.func.timezone("UTC", c.predicted_at), 'YYYY-MM-DD"T"HH24')
    else:
        hour = sa.func.replace(sa.func.substr(c.predicted_at, 1, 13), " ", "T")
    value, truth = c.prediction_value, c.actual_value
    wrong = sa.case((c.actual.is_(None), 0), (c.prediction != c.actual, 1), else_=0)
    numbers = sa.and_(sa.func.abs(value) <= LARGEST, sa.func.abs(truth) <= LARGEST, c.actual.is_not(None))
    error = sa.case((numbers, sa.func.abs(value - truth)), else_=wrong)
    prediction, probability = (sa.case((sa.func.abs(one) <= LARGEST, one)) for one in (value, c.probability))
    found: dict[str, Any] = {
        "model": c.model,
        "model_version": c.model_version,
        "hour": hour.label("hour"),
        "predictions": sa.func.count(),
        "with_feedback": sa.func.count(c.actual),
        "prediction_values": sa.func.count(prediction),
        "prediction_sum": sa.func.coalesce(sa.func.sum(prediction), 0.0),
        "probabilities": sa.func.count(probability),
        "probability_sum": sa.func.coalesce(sa.func.sum(probability), 0.0),
        "error_sum": sa.func.coalesce(sa.func.sum(error), 0.0),
        "wrong": sa.func.coalesce(sa.func.sum(wrong), 0),
        "first_at": sa.func.min(c.predicted_at),
        "last_at": sa.func.max(c.predicted_at),
    }
    hours = sa.table("prediction_hours", *map(sa.column, found))
    asked = sa.select(*found.values()).group_by(c.model, c.model_version, sa.literal_column("3"))
    connection.execute(sa.insert(hours).from_select(list(found), asked))
