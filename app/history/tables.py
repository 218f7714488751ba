"""Tables of the history. `migrations/` creates them in a database; a test compares both."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.types import TypeDecorator

REVISION = "r0008"
"""Newest migration, which readers require of a database."""

metadata = MetaData()


class Moment(TypeDecorator[datetime]):
    """A time with its zone, stored in UTC because SQLite has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _text(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null)


def _word(name: str, default: str = "") -> Column[Any]:
    return Column(name, Text, nullable=False, server_default=default)


def _moment(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Moment, nullable=null)


def _number(name: str) -> Column[Any]:
    return Column(name, Float(53), nullable=True)


def _count(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _sum(name: str) -> Column[Any]:
    return Column(name, Float(53), nullable=False, server_default="0")


def _totals() -> list[Column[Any]]:
    """Return the columns for the sums of predictions (`day_sums.Sums`)."""
    return [
        _count("predictions"), _count("with_feedback"), _count("prediction_values"), _sum("prediction_sum"),
        _count("probabilities"), _sum("probability_sum"), _sum("error_sum"), _count("wrong"),
        _moment("first_at", null=True), _moment("last_at", null=True), _count("silent_wrong"), _sum("silent_error_sum"),
    ]  # fmt: skip


PREDICTIONS = Table(
    "predictions",
    metadata,
    _text("prediction_id"),
    _text("model"),
    _text("model_version"),
    _moment("predicted_at"),
    _text("features"),
    _text("prediction"),
    _number("prediction_value"),
    _number("probability"),
    _text("probabilities", null=True),
    _text("metadata", null=True),
    _text("actual", null=True),
    _number("actual_value"),
    _moment("feedback_at", null=True),
    _moment("recorded_at"),
    _text("feedback_model", null=True),
    PrimaryKeyConstraint("prediction_id", "model", "model_version", name="pk_predictions"),
    Index("ix_predictions_version", "model", "model_version", "predicted_at"),
    Index("ix_predictions_predicted", "predicted_at"),
    Index("ix_predictions_recorded", "recorded_at"),
)
"""Predictions with their feedback.

`prediction` and `actual` are spelt as categories; `…_value` has them where they are numbers or booleans. JSON is stored
as text. `feedback_model`: the model to which the feedback is limited; null where it is for every model.
"""

WAITING_FEEDBACK = Table(
    "waiting_feedback",
    metadata,
    _text("prediction_id"),
    _text("actual"),
    _number("actual_value"),
    _moment("feedback_at"),
    _moment("recorded_at"),
    Column("model", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("prediction_id", "model", name="pk_waiting_feedback"),
    Index("ix_waiting_feedback_recorded", "recorded_at"),
)
"""Feedback whose prediction has not come.

`model`: the model to which the feedback is limited; empty where it is for every model.
"""

DRIFT_CHECKS = Table(
    "drift_checks",
    metadata,
    _text("model"),
    _text("model_version"),
    _text("kind"),
    _moment("window_start"),
    _moment("window_end"),
    Column("revision", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("sufficient", Boolean, nullable=False),
    Column("detected", Boolean, nullable=False),
    _number("share"),
    _text("named"),
    _text("report"),
    _moment("emitted_at"),
    _moment("recorded_at"),
    PrimaryKeyConstraint("model", "model_version", "kind", "window_end", "revision", name="pk_drift_checks"),
    Index("ix_drift_checks_kind", "kind", "window_end"),
    Index("ix_drift_checks_recorded", "recorded_at"),
)
"""Drift and performance reports.

`named`: drifted features, or degraded metrics. `share`: the share of drifted features, or of predictions with feedback.
"""

ALERTS = Table(
    "alerts",
    metadata,
    _text("alert_id"),
    _text("fingerprint"),
    _text("status"),
    _text("level"),
    _text("rule"),
    _text("model"),
    _text("model_version"),
    _text("title"),
    _text("message"),
    _text("labels"),
    _text("evidence"),
    _moment("started_at"),
    _moment("ended_at", null=True),
    _moment("emitted_at"),
    _moment("recorded_at"),
    PrimaryKeyConstraint("alert_id", name="pk_alerts"),
    Index("ix_alerts_version", "model", "model_version", "emitted_at"),
    Index("ix_alerts_emitted", "emitted_at"),
    Index("ix_alerts_recorded", "recorded_at"),
)

DELIVERIES = Table(
    "deliveries",
    metadata,
    _text("alert_id"),
    _text("channel"),
    _text("notification_id"),
    _moment("delivered_at"),
    _text("fingerprint"),
    _text("outcome"),
    Column("attempts", BigInteger, nullable=False),
    _text("reason"),
    _text("detail"),
    _moment("recorded_at"),
    PrimaryKeyConstraint("alert_id", "channel", "notification_id", "delivered_at", name="pk_deliveries"),
    Index("ix_deliveries_delivered", "delivered_at"),
    Index("ix_deliveries_recorded", "recorded_at"),
)

TRAINING_RUNS = Table(
    "training_runs",
    metadata,
    _text("run_id"),
    _text("model"),
    _text("model_version"),
    _text("model_type"),
    _text("status"),
    _moment("started_at"),
    _moment("finished_at"),
    Column("rows", BigInteger, nullable=False),
    Column("features", BigInteger, nullable=False),
    _text("metrics"),
    _text("parameters"),
    _text("dataset"),
    _text("sha256"),
    _text("detail"),
    _moment("recorded_at"),
    Column("is_retraining", Boolean, nullable=False, server_default=false()),
    _word("environment"),
    _word("metadata", "{}"),
    PrimaryKeyConstraint("run_id", name="pk_training_runs"),
    Index("ix_training_runs_version", "model", "model_version", "finished_at"),
    Index("ix_training_runs_finished", "finished_at"),
)

MODEL_DEPLOYMENTS = Table(
    "model_deployments",
    metadata,
    _text("model"),
    _text("model_version"),
    _moment("deployed_at"),
    _text("source"),
    _text("model_type"),
    _text("detail"),
    _moment("recorded_at"),
    _word("environment"),
    _word("status", "active"),
    _word("metadata", "{}"),
    PrimaryKeyConstraint(
        "model", "model_version", "deployed_at", "source", "environment", "status", name="pk_model_deployments"
    ),
    Index("ix_model_deployments_deployed", "deployed_at"),
)

PREDICTION_DAYS = Table(
    "prediction_days",
    metadata,
    _text("model"),
    _text("model_version"),
    Column("day", String(10), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("trimmed", Boolean, nullable=False),
    *_totals(),
    PrimaryKeyConstraint("model", "model_version", "day", name="pk_prediction_days"),
)
"""Days (UTC) with predictions, and the sums of these predictions (`day_sums.Sums`).

`revision` rises with every change. `trimmed`: retention has deleted some of the predictions.
"""

DEFAULT_TRUTHS = Table(
    "default_truths",
    metadata,
    _text("model"),
    _text("model_version"),
    _text("actual", null=True),
    _number("actual_value"),
    _number("after_seconds"),
    _number("pane_seconds"),
    _moment("registered_at"),
    _moment("recorded_at"),
    PrimaryKeyConstraint("model", "model_version", name="pk_default_truths"),
)
"""Default truth of each model version by its newest registration; null where the version has none."""

AUDIT = Table(
    "audit",
    metadata,
    _text("audit_id"),
    _moment("at"),
    _text("actor"),
    _text("key_id"),
    _text("action"),
    _text("subject"),
    _text("detail"),
    _moment("recorded_at"),
    PrimaryKeyConstraint("audit_id", name="pk_audit"),
    Index("ix_audit_at", "at"),
)
"""Audited changes. `key_id` is empty where no key was required, and on the command line."""

FORGOTTEN = Table(
    "forgotten",
    metadata,
    _text("name"),
    _text("digest"),
    _text("salt"),
    _moment("forgotten_at"),
    PrimaryKeyConstraint("name", "digest", name="pk_forgotten"),
)
"""Salted SHA-256 of forgotten ids (`name` is empty) and of forgotten values of a column."""

PREDICTION_HOURS = Table(
    "prediction_hours",
    metadata,
    _text("model"),
    _text("model_version"),
    Column("hour", String(13), nullable=False),
    *_totals(),
    PrimaryKeyConstraint("model", "model_version", "hour", name="pk_prediction_hours"),
)
"""Hours (UTC, as `2026-01-31T05`) with predictions, and the sums of these predictions.

An hour is deleted with its last prediction.
"""

RECORDED_OFFSETS = Table(
    "recorded_offsets",
    metadata,
    _text("topic"),
    Column("partition", Integer, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("topic", "partition", name="pk_recorded_offsets"),
)
"""Next offset to record, written in one transaction with the rows of the offsets before it."""

RECORDED_TOPICS = Table(
    "recorded_topics",
    metadata,
    _text("topic"),
    _text("cluster"),
    _text("topic_id"),
    PrimaryKeyConstraint("topic", name="pk_recorded_topics"),
)
"""Cluster and id of each topic to which the offsets belong."""

RETAINED = (PREDICTIONS, WAITING_FEEDBACK, DRIFT_CHECKS, ALERTS, DELIVERIES)
"""Tables to which both limits of retention apply."""
KEPT_LONGER = (TRAINING_RUNS, MODEL_DEPLOYMENTS)
"""Tables with few rows, which are kept at least as long as their topics keep them. The audit is never deleted."""
