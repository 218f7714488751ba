"""First tables of the history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("emitted_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_emitted", "alerts", ["emitted_at"])
    op.create_index("ix_alerts_recorded", "alerts", ["recorded_at"])
    op.create_index("ix_alerts_version", "alerts", ["model", "model_version", "emitted_at"])
    op.create_table(
        "deliveries",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("notification_id", sa.Text(), nullable=False),
        sa.Column("delivered_at", MOMENT, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("alert_id", "channel", "notification_id", "delivered_at", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_delivered", "deliveries", ["delivered_at"])
    op.create_index("ix_deliveries_recorded", "deliveries", ["recorded_at"])
    op.create_table(
        "drift_checks",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("window_start", MOMENT, nullable=False),
        sa.Column("window_end", MOMENT, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("sufficient", sa.Boolean(), nullable=False),
        sa.Column("detected", sa.Boolean(), nullable=False),
        sa.Column("share", sa.Float(53), nullable=True),
        sa.Column("named", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("emitted_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("model", "model_version", "kind", "window_end", "revision", name="pk_drift_checks"),
    )
    op.create_index("ix_drift_checks_kind", "drift_checks", ["kind", "window_end"])
    op.create_index("ix_drift_checks_recorded", "drift_checks", ["recorded_at"])
    op.create_table(
        "model_deployments",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("deployed_at", MOMENT, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("model_type", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("model", "model_version", "deployed_at", "source", name="pk_model_deployments"),
    )
    op.create_index("ix_model_deployments_deployed", "model_deployments", ["deployed_at"])
    op.create_table(
        "prediction_days",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("trimmed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("model", "model_version", "day", name="pk_prediction_days"),
    )
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("predicted_at", MOMENT, nullable=False),
        sa.Column("features", sa.Text(), nullable=False),
        sa.Column("prediction", sa.Text(), nullable=False),
        sa.Column("prediction_value", sa.Float(53), nullable=True),
        sa.Column("probability", sa.Float(53), nullable=True),
        sa.Column("probabilities", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.Column("actual", sa.Text(), nullable=True),
        sa.Column("actual_value", sa.Float(53), nullable=True),
        sa.Column("feedback_at", MOMENT, nullable=True),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_predictions"),
    )
    op.create_index("ix_predictions_predicted", "predictions", ["predicted_at"])
    op.create_index("ix_predictions_recorded", "predictions", ["recorded_at"])
    op.create_index("ix_predictions_version", "predictions", ["model", "model_version", "predicted_at"])
    op.create_table(
        "recorded_offsets",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name="pk_recorded_offsets"),
    )
    op.create_table(
        "training_runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("model_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("features", sa.BigInteger(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_training_runs"),
    )
    op.create_index("ix_training_runs_finished", "training_runs", ["finished_at"])
    op.create_index("ix_training_runs_version", "training_runs", ["model", "model_version", "finished_at"])
    op.create_table(
        "waiting_feedback",
        sa.Column("prediction_id", sa.Text(), nullable=False),
        sa.Column("actual", sa.Text(), nullable=False),
        sa.Column("actual_value", sa.Float(53), nullable=True),
        sa.Column("feedback_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_waiting_feedback"),
    )
    op.create_index("ix_waiting_feedback_recorded", "waiting_feedback", ["recorded_at"])


def downgrade() -> None:
    """Drop the tables."""
    for name in (
        "alerts",
        "deliveries",
        "drift_checks",
        "model_deployments",
        "prediction_days",
        "predictions",
        "recorded_offsets",
        "training_runs",
        "waiting_feedback",
    ):
        op.drop_table(name)
