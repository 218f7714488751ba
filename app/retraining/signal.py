"""Retraining signals, from a firing alert about drift or degradation, or from a check that finds either."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from topics.events import AlertEvent, RetrainingEvent

Reason = Literal["drift", "performance"]
REASONS: dict[str, Reason] = {
    "data_drift": "drift", "critical_feature": "drift", "prediction_drift": "drift", "performance": "performance",
}  # fmt: skip
"""Rules whose alerts raise a retraining signal, with the reason."""


def of_alert(alert: AlertEvent, now: datetime) -> RetrainingEvent | None:
    """Return the signal for an alert; None where the alert raises none.

    The same alert always has the same `signal_id`.
    """
    model, version = alert.labels.get("model", ""), alert.labels.get("model_version", "")
    reason = REASONS.get(alert.rule)
    if alert.status != "firing" or reason is None or not model or not version:
        return None
    return RetrainingEvent(
        signal_id=f"alert-{alert.alert_id}"[:200],
        model=model,
        model_version=version,
        requested_at=now,
        source="stream",
        reason=reason,
        message=alert.title,
        evidence=alert.evidence,
        alert_id=alert.alert_id,
    )


def of_check(
    model: str, version: str, reason: Reason, message: str, evidence: dict[str, object], now: datetime
) -> RetrainingEvent:
    """Return the signal for an offline check."""
    return RetrainingEvent(
        signal_id=f"check-{model}-{version}-{now.timestamp():.6f}"[-200:],
        model=model,
        model_version=version,
        requested_at=now,
        source="check",
        reason=reason,
        message=message,
        evidence=evidence,
    )
