"""Sums of the predictions of each day, so that no performance query reads every prediction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

COUNTS = ("predictions", "with_feedback", "prediction_values", "probabilities", "wrong")
SUMS = ("prediction_sum", "probability_sum", "error_sum")
LARGEST = 1.7976931348623157e308


def upgrade() -> None:
    """Create the columns, and sum the recorded predictions."""
    for name in COUNTS:
        op.add_column("prediction_days", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    for name in SUMS:
        op.add_column("prediction_days", sa.Column(name, sa.Float(53), nullable=False, server_default="0"))
    for name in ("first_at", "last_at"):
        op.add_column("prediction_days", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        op.execute("SET LOCAL statement_timeout = 0")  # it reads every prediction once
    for model, version, day in connection.execute(
        sa.text("SELECT model, model_version, day FROM prediction_days")
    ).all():
        _add_up(connection, model, version, day)


def downgrade() -> None:
    """Drop the columns."""
    with op.batch_alter_table("prediction_days") as table:
        for name in (*COUNTS, *SUMS, "first_at", "last_at"):
            table.drop_column(name)


def _add_up(connection: sa.Connection, model: str, version: str, day: str) -> None:
    start: datetime = datetime.fromisoformat(day)
    if connection.dialect.name == "postgresql":
        start = start.replace(tzinfo=UTC)
    moment = sa.DateTime(timezone=True)
    rows = sa.table("predictions", sa.column("predicted_at", moment), *map(sa.column, (
        "model", "model_version", "prediction", "prediction_value", "probability", "actual", "actual_value",
    )))  # fmt: skip
    c = rows.c
    value, truth = c.prediction_value, c.actual_value
    wrong = sa.case((c.actual.is_(None), 0), (c.prediction != c.actual, 1), else_=0)
    numbers = sa.and_(sa.func.abs(value) <= LARGEST, sa.func.abs(truth) <= LARGEST, c.actual.is_not(None))
    error = sa.case((numbers, sa.func.abs(value - truth)), else_=wrong)
    own: dict[str, Any] = {
        name: sa.case((sa.func.abs(one) <= LARGEST, one))
        for name, one in (("prediction", value), ("probability", c.probability))
    }
    found = connection.execute(
        sa.select(
            sa.func.count().label("predictions"),
            sa.func.count(c.actual).label("with_feedback"),
            sa.func.count(own["prediction"]).label("prediction_values"),
            sa.func.count(own["probability"]).label("probabilities"),
            sa.func.coalesce(sa.func.sum(wrong), 0).label("wrong"),
            sa.func.coalesce(sa.func.sum(own["prediction"]), 0.0).label("prediction_sum"),
            sa.func.coalesce(sa.func.sum(own["probability"]), 0.0).label("probability_sum"),
            sa.func.coalesce(sa.func.sum(error), 0.0).label("error_sum"),
            sa.func.min(c.predicted_at).label("first_at"),
            sa.func.max(c.predicted_at).label("last_at"),
        ).where(
            c.model == model, c.model_version == version,
            c.predicted_at >= start, c.predicted_at < start + timedelta(days=1),
        )
    ).mappings().one()  # fmt: skip
    days = sa.table("prediction_days", sa.column("first_at", moment), sa.column("last_at", moment), *map(
        sa.column, ("model", "model_version", "day", *COUNTS, *SUMS)
    ))  # fmt: skip
    its = (days.c.model == model, days.c.model_version == version, days.c.day == day)
    connection.execute(sa.update(days).where(*its).values(**found))
