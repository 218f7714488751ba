"""Conversion of events to rows: each function returns the values of one row, except when it was recorded.

Each function raises ValueError, which names the field, for a value that no supported database can store.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Protocol

import msgspec

from app.core.values.reading import number_of, spelled
from topics.events import (
    AlertEvent,
    AnyReport,
    AuditEvent,
    DeliveryEvent,
    DeploymentEvent,
    DriftReport,
    FeatureDrift,
    FeedbackEvent,
    Label,
    PerformanceReport,
    Scalar,
    Timestamp,
    TrainingRunEvent,
    from_epoch,
    to_epoch,
)

Row = dict[str, object]

LONGEST_KEY = 800
"""Longest indexed text, in bytes. Three of these fit into an index entry of PostgreSQL."""
LONGEST_WORD = 400
"""Longest text that is indexed together with two of these, in bytes."""
KEYS = ("prediction_id", "model", "model_version", "alert_id", "channel", "notification_id", "run_id", "audit_id")


class RecordedPrediction(Protocol):
    """A PredictionEvent whose features are raw JSON."""

    @property
    def prediction_id(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def model_version(self) -> str: ...
    @property
    def timestamp(self) -> Timestamp: ...
    @property
    def features(self) -> msgspec.Raw: ...
    @property
    def prediction(self) -> Label | None: ...
    @property
    def probability(self) -> float | dict[str, float] | None: ...
    @property
    def metadata(self) -> dict[str, Scalar] | None: ...


def prediction_row(event: RecordedPrediction) -> Row:
    """Return a row of `predictions`, without feedback."""
    by_class = isinstance(event.probability, dict)
    return _sound({
        "prediction_id": event.prediction_id,
        "model": event.model,
        "model_version": event.model_version,
        "predicted_at": _utc(event.timestamp),
        "features": bytes(event.features).decode(),
        "prediction": "" if event.prediction is None else spelled(event.prediction),
        "prediction_value": number(event.prediction),
        "probability": None if by_class else event.probability,
        "probabilities": _json(event.probability) if by_class else None,
        "metadata": None if event.metadata is None else _json(event.metadata),
        "actual": None,
        "actual_value": None,
        "feedback_at": None,
        "feedback_model": None,
    })  # fmt: skip


def feedback_row(event: FeedbackEvent, taken_at: float) -> Row:
    """Return a row of `waiting_feedback`.

    Feedback without a time has the time at which the broker received it, `taken_at` in epoch seconds.
    """
    return _sound({
        "prediction_id": event.prediction_id,
        "actual": spelled(event.actual),
        "actual_value": number(event.actual),
        "feedback_at": _utc(taken_at if event.timestamp is None else event.timestamp),
        "model": event.model or "",
    })  # fmt: skip


def report_row(event: AnyReport) -> Row | None:
    """Return a row of `drift_checks`; None for a report of another kind.

    Shapes, which are only for pictures, are left out.
    """
    report: AnyReport
    if isinstance(event, DriftReport):
        features = tuple(map(_plain, event.features))
        report = msgspec.structs.replace(
            event, features=features, prediction=_plain(event.prediction), probability=_plain(event.probability)
        )
        kind, detected = (
            "drift",
            event.drift_detected or event.prediction_drift or (event.scales is not None and event.scales.drifted),
        )
        share, named = event.drift_share, event.drifted_features
    elif isinstance(event, PerformanceReport):
        report, kind, detected = event, "performance", event.degraded or bool(event.degraded_metrics)
        share, named = event.coverage, event.degraded_metrics
    else:
        return None
    return _sound({
        "model": event.model,
        "model_version": event.model_version,
        "kind": kind,
        "window_start": _aware("window_start", event.window_start),
        "window_end": _aware("window_end", event.window_end),
        "revision": event.revision,
        "n": event.n,
        "sufficient": event.sufficient,
        "detected": detected,
        "share": share,
        "named": _json(named),
        "report": _json(report),
        "emitted_at": _aware("emitted_at", event.emitted_at),
    })  # fmt: skip


def alert_row(event: AlertEvent) -> Row:
    """Return a row of `alerts`."""
    return _sound({
        "alert_id": event.alert_id,
        "fingerprint": event.fingerprint,
        "status": event.status,
        "level": event.level,
        "rule": event.rule,
        "model": event.labels.get("model", ""),
        "model_version": event.labels.get("model_version", ""),
        "title": event.title,
        "message": event.message,
        "labels": _json(event.labels),
        "evidence": _json(event.evidence),
        "started_at": _aware("started_at", event.started_at),
        "ended_at": None if event.ended_at is None else _aware("ended_at", event.ended_at),
        "emitted_at": _aware("emitted_at", event.emitted_at),
    })  # fmt: skip


def delivery_row(event: DeliveryEvent) -> Row:
    """Return a row of `deliveries`."""
    return _sound({
        "alert_id": event.alert_id,
        "channel": event.channel,
        "notification_id": event.notification_id,
        "delivered_at": _aware("delivered_at", event.delivered_at),
        "fingerprint": event.fingerprint,
        "outcome": event.outcome,
        "attempts": event.attempts,
        "reason": event.reason,
        "detail": event.detail,
    })  # fmt: skip


def training_row(event: TrainingRunEvent) -> Row:
    """Return a row of `training_runs`."""
    return _sound({
        "run_id": event.run_id,
        "model": event.model,
        "model_version": event.model_version,
        "model_type": event.model_type,
        "status": event.status,
        "started_at": event.started_at,
        "finished_at": event.finished_at,
        "rows": event.rows,
        "features": event.features,
        "metrics": _json(event.metrics),
        "parameters": _json(event.parameters),
        "dataset": event.dataset,
        "sha256": event.sha256,
        "detail": event.detail,
        "is_retraining": event.is_retraining,
        "environment": event.environment,
        "metadata": _json(event.metadata),
    })  # fmt: skip


def deployment_row(event: DeploymentEvent) -> Row:
    """Return a row of `model_deployments`."""
    return _sound({
        "model": event.model,
        "model_version": event.model_version,
        "deployed_at": event.deployed_at,
        "source": event.source,
        "model_type": event.model_type,
        "detail": event.detail,
        "environment": _short("environment", event.environment),
        "status": _short("status", event.status),
        "metadata": _json(event.metadata),
    })  # fmt: skip


def audit_row(event: AuditEvent) -> Row:
    """Return a row of `audit`."""
    detail = event.detail | ({"host": event.host} if event.host else {})
    return _sound({
        "audit_id": event.audit_id,
        "at": _aware("at", event.at),
        "actor": event.actor,
        "key_id": event.key_id,
        "action": event.action,
        "subject": event.subject,
        "detail": _json(detail),
    })  # fmt: skip


def _sound(row: Row) -> Row:
    for name, value in row.items():
        if isinstance(value, str) and "\x00" in value:
            raise ValueError(f"`{name}` has a NUL character in it, which a database cannot hold")
    for name in KEYS:
        value = row.get(name)
        if isinstance(value, str) and len(value) * 4 > LONGEST_KEY < len(value.encode()):
            raise ValueError(f"`{name}` has more than {LONGEST_KEY} bytes")
    return row


def _short(name: str, text: str) -> str:
    """Return a text that is indexed together with model and version. Raises ValueError where the text is too long."""
    if len(text.encode()) > LONGEST_WORD:
        raise ValueError(f"`{name}` has more than {LONGEST_WORD} bytes")
    return text


def _utc(value: Timestamp) -> datetime:
    return from_epoch(to_epoch(value))


def _aware(name: str, value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"`{name}` has no time zone")
    return value


def number(value: Label | None) -> float | None:
    """Return a label as a number; None where the label is a text."""
    if value is None or isinstance(value, str):
        return None
    return float(value) if isinstance(value, bool) else number_of(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _plain(feature: FeatureDrift | None) -> FeatureDrift | None:
    return None if feature is None else replace(feature, shape=None)
